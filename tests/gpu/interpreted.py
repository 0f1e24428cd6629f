"""Liger's kernels without a GPU, in Triton's interpreter: `TRITON_INTERPRET=1 python -m tests.gpu.interpreted`.

Wants liger-kernel and triton on the path, which the CPU environment has not. Prints how far loss, outputs and gradients are
from the fp32 reference (over its largest number), and ends with 1 if one is farther than its tolerance. The interpreter
computes bf16 wrongly where kernels multiply in it, so half precision of the norm and the product is tried in fp16.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.gpu.shapes import apart, draw, leaf
from yulan.model import kernels, loss

ROWS, WIDTH, VOCABULARY, Z = 48, 64, 500, 1e-4
TOLERANCES = {torch.float32: 1e-6, torch.float16: 2e-3, torch.bfloat16: 1e-2}


def repair() -> None:
    """What the interpreter of triton 3.9 lacks: numbers as arguments that have a type, and libdevice's rsqrt."""
    import liger_kernel.ops.rms_norm as module
    import numpy as np
    import triton.language as tl
    from triton.runtime import interpreter

    before = interpreter._implicit_cvt

    def convert(argument: Any) -> Any:
        if isinstance(argument, float):
            return tl.tensor(interpreter.TensorHandle(np.array([argument], dtype=np.float32), tl.float32), tl.float32)
        return before(argument)

    interpreter._implicit_cvt = convert
    module.rsqrt = lambda x: tl.rsqrt(x)


def outcomes(run: Callable[..., Tensor], inputs: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    own = [leaf(each, dtype) for each in inputs]
    out = run(*(each * 1.0 for each in own))
    out.backward(draw(*out.shape, seed=99, device="cpu").to(dtype))
    return [out.detach(), *(each.grad for each in own)]


def losses(run: Callable[..., loss.Loss], dtype: torch.dtype) -> list[Tensor]:
    hidden = leaf(draw(ROWS, WIDTH, seed=0, device="cpu"), dtype)
    head = leaf(draw(VOCABULARY, WIDTH, seed=1, device="cpu", scale=0.1), dtype)
    targets = torch.randint(0, VOCABULARY, (ROWS,), generator=torch.Generator().manual_seed(2))
    targets[::7] = loss.IGNORED
    sums = run(hidden, head, targets, Z)
    (sums.total / int(sums.targets)).backward()
    return [sums.total.detach(), sums.cross_entropy, sums.squared_logsumexp, hidden.grad, head.grad]


def main() -> None:
    if os.environ.get("TRITON_INTERPRET") != "1":
        sys.exit("set TRITON_INTERPRET=1")
    repair()
    ours, theirs = kernels.REFERENCE, kernels.choose("liger")
    x, other = draw(ROWS, WIDTH, seed=0, device="cpu"), draw(ROWS, WIDTH, seed=1, device="cpu")
    weight = draw(WIDTH, seed=2, device="cpu")
    far = False
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        rows = {
            "loss, cross-entropy, z, gradients": (losses(ours.cross_entropy, torch.float32), losses(theirs.cross_entropy, dtype))
        }
        if dtype != torch.bfloat16:
            norms = [lambda a, b, k=k: k.rms_norm(a, b, 1e-6) for k in (ours, theirs)]
            rows["norm, gradients"] = (outcomes(norms[0], [x, weight], torch.float32), outcomes(norms[1], [x, weight], dtype))
            products = (ours.silu_product, theirs.silu_product)
            rows["product, gradients"] = (
                outcomes(products[0], [x, other], torch.float32),
                outcomes(products[1], [x, other], dtype),
            )
        for name, (reference, mine) in rows.items():
            distances = [apart(b, a) for a, b in zip(reference, mine, strict=True)]
            far |= max(distances) > TOLERANCES[dtype]
            print(f"{dtype!s:15} {name:34} {' '.join(f'{each:.1e}' for each in distances)}")
    sys.exit(int(far))


if __name__ == "__main__":
    main()

"""Each GPU kernel against the fp32 reference at the real widths. Distances are `apart`: over the reference's largest number.

bf16 has 8 bits, so one rounding is up to 0.4 %; the tolerances are a few of them.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.gpu.shapes import FLASH, LENGTHS, MODEL, SHALLOW, THERE, apart, cosine, draw, leaf, pack
from yulan.model import kernels, loss
from yulan.model.attention import Documents, attend
from yulan.model.decoder import Decoder
from yulan.model.init import start_values

OUT, GRADIENT = 0.01, 0.02
"""Of what a kernel gives, and of its gradients."""
POSITIONS = sum(LENGTHS)


def both(inputs: list[Tensor], reference: Callable[..., Tensor], kernel: Callable[..., Tensor]) -> list[tuple[float, float]]:
    """(distance of the output or a gradient, its tolerance): the kernel in bf16, the reference in fp32."""
    found = []
    for run, dtype in ((reference, torch.float32), (kernel, torch.bfloat16)):
        own = [leaf(each, dtype) for each in inputs]
        # As in the decoder, where what a kernel may write over is nobody else's.
        out = run(*(each * 1.0 for each in own))
        out.backward(draw(*out.shape, seed=99).to(dtype))
        found.append([out.detach(), *(each.grad for each in own)])
    return [(apart(b, a), OUT if index == 0 else GRADIENT) for index, (a, b) in enumerate(zip(*found, strict=True))]


def test_a_flash_kernel_is_installed():
    assert THERE, "install the GPU extra"


@pytest.mark.parametrize("kernel", FLASH)
def test_flash_attention_equals_sdpa_on_every_document(kernel: Any):
    documents = Documents.of(torch.tensor([0, *LENGTHS]).cumsum(0).int(), torch.device("cuda"))
    heads = (MODEL.heads, MODEL.kv_heads, MODEL.kv_heads)
    inputs = [draw(POSITIONS, each, MODEL.head_dim, seed=seed) for seed, each in enumerate(heads)]
    for distance, tolerance in both(
        inputs, lambda q, k, v: attend(q, k, v, documents, "sdpa"), lambda q, k, v: attend(q, k, v, documents, kernel)
    ):
        assert distance <= tolerance


def test_liger_s_rms_norm_equals_ours():
    inputs = [draw(POSITIONS, MODEL.hidden_size, seed=0), draw(MODEL.hidden_size, seed=1)]
    mine, theirs = kernels.REFERENCE.rms_norm, kernels.choose("liger").rms_norm
    for distance, tolerance in both(inputs, lambda x, w: mine(x, w, MODEL.norm_eps), lambda x, w: theirs(x, w, MODEL.norm_eps)):
        assert distance <= tolerance


def test_liger_s_gated_product_equals_ours():
    inputs = [draw(POSITIONS, MODEL.ffn_size, seed=seed) for seed in (0, 1)]
    for distance, tolerance in both(inputs, kernels.REFERENCE.silu_product, kernels.choose("liger").silu_product):
        assert distance <= tolerance


@pytest.mark.parametrize("z_loss", [1e-4, 0.0])
def test_liger_s_linear_cross_entropy_has_our_definition_of_the_loss(z_loss: float):
    hidden, head = draw(POSITIONS, MODEL.hidden_size, seed=0), draw(MODEL.vocab_size, MODEL.hidden_size, seed=1, scale=0.05)
    targets = torch.randint(0, MODEL.vocab_size, (POSITIONS,), generator=torch.Generator().manual_seed(2)).cuda()
    targets[::7] = loss.IGNORED
    found = []
    for run, dtype in ((loss.linear_cross_entropy, torch.float32), (kernels.choose("liger").cross_entropy, torch.bfloat16)):
        x, w = (leaf(each, dtype) for each in (hidden, head))
        sums = run(x, w, targets, z_loss)
        (sums.total / int(sums.targets)).backward()
        found.append((sums, x.grad, w.grad))
    (reference, *gradients), (mine, *own) = found
    assert mine.targets == reference.targets == int((targets != loss.IGNORED).sum())
    torch.testing.assert_close(mine.total, reference.total, rtol=1e-3, atol=0)
    torch.testing.assert_close(mine.cross_entropy, reference.cross_entropy, rtol=1e-3, atol=0)
    # Liger rounds each z to bf16.
    torch.testing.assert_close(mine.squared_logsumexp, reference.squared_logsumexp, rtol=1e-2, atol=0)
    assert all(apart(b, a) <= GRADIENT for a, b in zip(gradients, own, strict=True))


def decoder(dtype: torch.dtype, fused: Any, recompute: int = 0) -> Decoder:
    made = Decoder(SHALLOW, kernels.choose(fused), recompute)
    own = dict(made.named_parameters())
    with torch.no_grad():
        for name, value in start_values(SHALLOW, 1):
            # At its start the model answers evenly; matrices 200 times as large have something to say.
            own[name].copy_(value * 200 if value.dim() == 2 else value)
    return made.to("cuda", dtype)


def learned(made: Decoder, kernel: Any) -> tuple[Tensor, dict[str, Tensor]]:
    made.zero_grad()
    tokens, positions, bounds = pack(SHALLOW.vocab_size)
    found = made(tokens, positions, bounds, 10000.0, kernel, tokens.roll(-1), 1e-4).total / len(tokens)
    found.backward()
    return found.detach(), {name: p.grad.clone() for name, p in made.named_parameters()}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kernel", FLASH)
def test_the_whole_fast_path_learns_what_the_fp32_reference_learns(kernel: Any, compiled: bool):
    reference, gradients = learned(decoder(torch.float32, "none"), "sdpa")
    fast = decoder(torch.bfloat16, "liger", recompute=2)
    if compiled:
        fast.compile_layers()
    mine, own = learned(fast, kernel)
    torch.testing.assert_close(mine, reference, rtol=5e-3, atol=0)
    for name, gradient in gradients.items():
        if gradient.dim() == 2:
            assert cosine(own[name], gradient) >= 0.999, name
    again, same = learned(fast, kernel)
    assert torch.equal(mine, again)
    assert all(torch.equal(own[name], same[name]) for name in own), "the same step twice has the same bits"


@pytest.mark.parametrize("kernel", FLASH)
def test_layers_that_are_computed_again_give_every_bit_of_the_gradient(kernel: Any):
    _, gradients = learned(decoder(torch.bfloat16, "liger"), kernel)
    _, mine = learned(decoder(torch.bfloat16, "liger", recompute=2), kernel)
    assert all(torch.equal(gradients[name], mine[name]) for name in gradients)


@pytest.mark.parametrize("kernel", FLASH)
def test_packed_documents_do_not_see_each_other(kernel: Any):
    made = decoder(torch.bfloat16, "liger")
    tokens, positions, bounds = pack(SHALLOW.vocab_size)
    edges = bounds.tolist()
    with torch.no_grad():
        before = made(tokens, positions, bounds, 10000.0, kernel)
        for first, last in pairwise(edges):
            changed = tokens.clone()
            changed[first:last] = (changed[first:last] + 1) % SHALLOW.vocab_size
            after = made(changed, positions, bounds, 10000.0, kernel)
            assert torch.equal(after[:first], before[:first])
            assert torch.equal(after[last:], before[last:])
            assert not torch.equal(after[first:last], before[first:last])
        # And a document alone is what it is in a pack, to rounding.
        first, last = edges[3], edges[4]
        alone = made(tokens[first:last], positions[first:last], torch.tensor([0, last - first]).int(), 10000.0, kernel)
    assert apart(alone, before[first:last]) <= OUT

"""Moments in fewer bytes: bf16, or 8 bits with a scale for each block of numbers, as safetensors' own F8_E4M3.

8 bits hold exp_avg / scale and sqrt(exp_avg_sq) / scale, so both have the range of a gradient. A second moment that is
not zero never becomes zero: AdamW divides by its root, and eps (1e-15 here) would not hold the update back.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from yulan.train.checkpoint.state import Precision

DTYPES: Mapping[Precision, tuple[str, int]] = {"fp32": ("F32", 4), "bf16": ("BF16", 2), "fp8": ("F8_E4M3", 1)}
"""Name in safetensors, and bytes of a number."""
BLOCK = 128
"""Numbers that share a scale, counted from the start of the flattened tensor."""
LARGEST, SMALLEST = 448.0, 2.0**-9
"""Of the numbers E4M3 can hold, zero aside."""
SCALE = "_scale"
"""Behind the name of a set: the set of its scales, fp32, one for each block."""


def blocks(size: int) -> int:
    return -(-size // BLOCK)


class Encoder:
    """One tensor, given in parts of any length."""

    def __init__(self, kind: str, size: int, precision: Precision) -> None:
        self.kind, self.left, self.precision = kind, size, precision
        self.waiting = torch.empty(0)
        self.scales: list[Tensor] = []
        """fp32, of the blocks so far."""

    def encode(self, data: memoryview) -> memoryview:
        """fp32 bytes -> stored bytes. A block that is not whole yet waits for the next part."""
        if self.precision == "fp32":
            return data
        numbers = torch.frombuffer(data, dtype=torch.float32)
        if self.precision == "bf16":
            return _raw(numbers.bfloat16())
        self.left -= len(numbers)
        numbers = torch.cat([self.waiting, numbers])
        whole = len(numbers) if self.left == 0 else len(numbers) // BLOCK * BLOCK
        self.waiting = numbers[whole:]
        return _raw(self._pack(numbers[:whole]))

    def _pack(self, numbers: Tensor) -> Tensor:
        values = numbers.sqrt() if self.kind == "exp_avg_sq" else numbers
        padded = torch.nn.functional.pad(values, (0, -len(values) % BLOCK)).view(-1, BLOCK)
        scales = padded.abs().amax(1) / LARGEST
        scales[scales == 0] = 1.0
        self.scales.append(scales)
        codes = (padded / scales[:, None]).clamp(-LARGEST, LARGEST)
        if self.kind == "exp_avg_sq":
            codes = torch.where(padded > 0, codes.clamp(min=SMALLEST), codes)
        return codes.view(-1)[: len(values)].to(torch.float8_e4m3fn)


def _raw(numbers: Tensor) -> memoryview:
    return memoryview(numbers.view(torch.uint8).numpy())


def decode(kind: str, stored: Tensor, scales: Tensor | None) -> Tensor:
    """fp32, in the stored shape; a copy unless it is stored as fp32."""
    if scales is None:
        return stored.float()
    flat = stored.float().view(-1)
    padded = torch.nn.functional.pad(flat, (0, -len(flat) % BLOCK)).view(-1, BLOCK) * scales[:, None]
    values = padded.view(-1)[: len(flat)].view(stored.shape)
    return values.square() if kind == "exp_avg_sq" else values

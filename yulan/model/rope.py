"""Rotary positions in Llama's layout: channel i turns with channel i + H / 2.

Legend: T positions (leading axes of any kind), N heads, H head width.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Angles(NamedTuple):
    """Of every position, (T, 1, H); made once for a forward pass, in fp32 for any length and theta: no table is kept."""

    cos: Tensor
    sin: Tensor
    """Negative in the lower half, where the turned-in channel is subtracted."""


def angles(positions_T: Tensor, theta: float, head_dim: int, dtype: torch.dtype) -> Angles:
    """cos and sin of position x theta^(-2i / H)."""
    turns = theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions_T.device) / head_dim)
    phase = (positions_T.float().unsqueeze(-1) * turns).unsqueeze(-2)
    cos, sin = phase.cos(), phase.sin()
    return Angles(torch.cat((cos, cos), -1).to(dtype), torch.cat((-sin, sin), -1).to(dtype))


def rotate(x_TNH: Tensor, by: Angles) -> Tensor:
    """Each head of each position turned by its angles."""
    out: Tensor = _Rotate.apply(x_TNH, by.cos, by.sin)
    return out


class _Rotate(torch.autograd.Function):
    """The gradient turns back, so nothing but the angles is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(grad, cos, -sin), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return (x * cos).addcmul_(x.roll(x.shape[-1] // 2, -1), sin)

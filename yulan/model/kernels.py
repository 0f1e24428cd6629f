"""Which code computes the decoder's norms, gated products and loss: chosen once, when a decoder is built.

Nothing of a GPU is imported unless it is chosen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from yulan.errors import StateError
from yulan.model.loss import Loss, linear_cross_entropy
from yulan.model.norm import rms_norm

Fused = Literal["none", "liger"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kernels:
    """The same functions to rounding, whichever are chosen."""

    rms_norm: Callable[[Tensor, Tensor, float], Tensor]
    """(x, weight_D, eps) -> x / sqrt(mean(x^2) + eps) x weight."""
    silu_product: Callable[[Tensor, Tensor], Tensor]
    """(gate, up) -> silu(gate) x up."""
    cross_entropy: Callable[[Tensor, Tensor, Tensor, float], Loss]
    """(hidden_TD, head_VD, targets_T, z_loss) -> sums of the loss."""


def _silu_product(gate: Tensor, up: Tensor) -> Tensor:
    return functional.silu(gate) * up


REFERENCE = Kernels(rms_norm=rms_norm, silu_product=_silu_product, cross_entropy=linear_cross_entropy)


def choose(fused: Fused) -> Kernels:
    """Raises: StateError: Liger's kernels are asked for and not installed."""
    if fused == "none":
        return REFERENCE
    try:
        from yulan.model import liger
    except ImportError as error:
        raise StateError(
            "`fused: liger` needs the package liger-kernel, which is not installed",
            where="profile fused",
            cure="Install the GPU extra (pip install '.[gpu]') or choose a profile with `fused: none`",
        ) from error
    return Kernels(rms_norm=liger.rms_norm, silu_product=liger.silu_product, cross_entropy=liger.linear_cross_entropy)

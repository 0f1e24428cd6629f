"""Liger's Triton kernels behind the signatures of this package. Imported only where they are chosen.

liger-kernel is pinned exactly: `fused_linear_cross_entropy_forward` is no part of its documented interface.
Legend: T positions, D model width, V vocabulary.
"""

from typing import Any

import torch
from liger_kernel.ops.fused_linear_cross_entropy import fused_linear_cross_entropy_forward
from liger_kernel.ops.rms_norm import LigerRMSNormFunction
from liger_kernel.ops.swiglu import LigerSiLUMulFunction
from torch import Tensor
from torch.autograd.function import once_differentiable

from yulan.model import loss
from yulan.model.loss import IGNORED, Loss

ROWS = 4
"""Logits in memory at a time: so many times the T x D numbers of the hidden states, in their precision. Liger's own 1 gives
256 rows at 12,288 x 1,920 and V = 99,000, too few to fill a large GPU's matrix units."""


def rms_norm(x: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """Llama's casting, which is norm.py's: the inverse RMS in fp32, its product with x in x's precision."""
    # Not in place: the gradient it would overwrite belongs to the caller.
    out: Tensor = LigerRMSNormFunction.apply(x, weight_D, eps, 0.0, "llama", False)
    return out


def silu_product(gate: Tensor, up: Tensor) -> Tensor:
    """Backward writes over gate and up, which nothing else keeps."""
    out: Tensor = LigerSiLUMulFunction.apply(gate, up)
    return out


def linear_cross_entropy(hidden_TD: Tensor, head_VD: Tensor, targets_T: Tensor, z_loss: float) -> Loss:
    """As loss.py defines it. Liger tells the z-loss alone, so without one the sum of squares is not to be had from it."""
    if z_loss == 0.0:
        return loss.linear_cross_entropy(hidden_TD, head_VD, targets_T, z_loss)
    learn = torch.is_grad_enabled()
    total, cross_entropy, squared = _LinearCrossEntropy.apply(hidden_TD, head_VD, targets_T, z_loss, learn)
    return Loss(total, cross_entropy, squared, (targets_T != IGNORED).sum())


class _LinearCrossEntropy(torch.autograd.Function):
    """Liger's own Function sums z-loss in the precision of the hidden states, which in bf16 is off by up to 0.2 %, or, asked
    for single losses, makes the gradients in a second pass. Its forward has both in one: single losses and their summed
    gradient, that of the head summed in fp32."""

    @staticmethod
    def forward(
        ctx: Any, hidden_TD: Tensor, head_VD: Tensor, targets_T: Tensor, z_loss: float, learn: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        losses, z, _, _, grad_hidden, grad_head, _ = fused_linear_cross_entropy_forward(
            hidden_TD,
            head_VD,
            targets_T,
            ignore_index=IGNORED,
            lse_square_scale=z_loss,
            reduction="none",
            return_z_loss=True,
            accum_dtype=torch.float32,
            compute_gradients=learn,
            weight_requires_grad=learn,
            chunk_mem_const=ROWS,
        )
        total, z_sum = losses.sum(), z.float().sum()
        cross_entropy, squared = total - z_sum, z_sum / z_loss
        if learn:
            ctx.save_for_backward(grad_hidden, grad_head)
        ctx.mark_non_differentiable(cross_entropy, squared)
        return total, cross_entropy, squared

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_hidden, grad_head = ctx.saved_tensors
        return grad_hidden * grad, grad_head * grad, None, None, None

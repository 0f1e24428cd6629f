"""Cross-entropy and z-loss straight from hidden states, a block of rows at a time: no T x V tensor is ever whole.

Legend: T positions, D model width, V vocabulary.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

IGNORED = -100
"""A target that bears no loss: padding, and the last position before it."""

BLOCK = 1 << 24
"""Logits in memory at a time."""


class Loss(NamedTuple):
    """Sums over the real targets, in nats; the caller divides by the whole step's count."""

    total: Tensor
    """cross_entropy + z_loss x squared_logsumexp; the only one that carries a gradient."""
    cross_entropy: Tensor
    squared_logsumexp: Tensor
    targets: Tensor
    """int64: real targets."""


def linear_cross_entropy(hidden_TD: Tensor, head_VD: Tensor, targets_T: Tensor, z_loss: float) -> Loss:
    """Of the logits `hidden @ head.T`, in fp32; targets of -100 are ignored."""
    total, cross_entropy, squared = _LinearCrossEntropy.apply(hidden_TD, head_VD, targets_T, z_loss, torch.is_grad_enabled())
    return Loss(total, cross_entropy, squared, (targets_T != IGNORED).sum())


@torch.no_grad()
def token_losses(hidden_TD: Tensor, head_VD: Tensor, targets_T: Tensor) -> Tensor:
    """fp32 (T,): cross-entropy of each position in nats, 0 where the target is ignored."""
    blocks = _blocks(hidden_TD, head_VD, targets_T)
    losses = [_exponentials(hidden @ head_VD.T, targets)[3] * (targets != IGNORED) for hidden, targets in blocks]
    return torch.cat(losses)


def _blocks(hidden_TD: Tensor, head_VD: Tensor, targets_T: Tensor) -> Any:
    rows = max(1, BLOCK // len(head_VD))
    return zip(hidden_TD.split(rows), targets_T.split(rows), strict=True)


def _exponentials(logits_TV: Tensor, targets_T: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns: softmax numerators, made in place of the logits; their sums; logsumexp; cross-entropy."""
    logits_TV = logits_TV.float()
    wanted = logits_TV.gather(1, targets_T.clamp(min=0).unsqueeze(1)).squeeze(1)
    top = logits_TV.amax(1)
    exponentials = logits_TV.sub_(top.unsqueeze(1)).exp_()
    sums = exponentials.sum(1)
    logsumexp = sums.log() + top
    return exponentials, sums, logsumexp, logsumexp - wanted


class _LinearCrossEntropy(torch.autograd.Function):
    """Gradients are made in the forward pass, while a block's softmax is at hand; backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any, hidden_TD: Tensor, head_VD: Tensor, targets_T: Tensor, z_loss: float, learn: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        grads: list[Tensor] = []
        grad_head = torch.zeros_like(head_VD, dtype=torch.float32) if learn else None
        cross_entropy, squared = hidden_TD.new_zeros((2,), dtype=torch.float32).unbind()
        for hidden, targets in _blocks(hidden_TD, head_VD, targets_T):
            real = targets != IGNORED
            numerators, sums, logsumexp, losses = _exponentials(hidden @ head_VD.T, targets)
            cross_entropy = cross_entropy + (losses * real).sum()
            squared = squared + (logsumexp.square() * real).sum()
            if grad_head is None:
                continue
            numerators.mul_(((1 + 2 * z_loss * logsumexp) * real / sums).unsqueeze(1))
            numerators.scatter_add_(1, targets.clamp(min=0).unsqueeze(1), -real.float().unsqueeze(1))
            grad_logits = numerators.to(hidden.dtype)
            grads.append(grad_logits @ head_VD)
            grad_head += grad_logits.T @ hidden
        if grad_head is not None:
            ctx.save_for_backward(torch.cat(grads), grad_head.to(head_VD.dtype))
        ctx.mark_non_differentiable(cross_entropy, squared)
        return cross_entropy + z_loss * squared, cross_entropy, squared

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_hidden, grad_head = ctx.saved_tensors
        return grad_hidden * grad, grad_head * grad, None, None, None

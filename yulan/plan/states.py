"""Bytes of model states on one rank under each ZeRO stage, part by part. No torch.

What is counted is what the engine holds while a step's micro-batches accumulate; tests/unit/plan count the same on
the engine's real buffers. Exchange buckets and activations are not model states.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from yulan.model.shape import Parameter
from yulan.profile import Profile

STAGES = (0, 1, 2, 3)
PERSISTENT = 100_000
"""ZeRO-3 keeps a parameter of fewer numbers whole on every rank (DeepSpeed's `stage3_param_persistence_threshold`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class States:
    """Bytes on one rank, but for padding: ZeRO cuts a group of tensors into equal pieces."""

    zero: int
    weights: int
    """That forward uses, in the profile's precision."""
    gradients: int
    """ZeRO-1 keeps them whole until the step, in the profile's precision; ZeRO-2 and 3 this rank's part only, in fp32. Exact
    sums: several whole ones in fp32."""
    master: int
    """fp32 copy. Without ZeRO fp32 weights are their own. 0 if it is offloaded from a GPU."""
    moments: int
    """0 if they are offloaded from a GPU."""
    host: int
    """What a GPU's host holds for it: master weights, moments, their gradients in fp32, and new weights on their way back."""

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.master + self.moments


def states(parameters: Iterable[Parameter], profile: Profile, zero: int, grid: int) -> States:
    """Model states of one of the profile's ranks at a ZeRO stage, with `grid` micro-batches in a step.

    bf16 without ZeRO is arithmetic only: the engine does not run it.
    """
    sizes = [p.size for p in parameters]
    whole, ranks = sum(sizes), profile.processes
    low = 4 if profile.precision == "fp32" else 2
    part = -(-whole // ranks) if zero else whole
    weights = low * whole if zero < 3 else low * (part + sum(size for size in sizes if size < PERSISTENT))
    if profile.reduction == "exact":
        gradients = 4 * whole * whole_gradients(grid // ranks)
    else:
        gradients = low * whole if zero < 2 else 4 * part
    away = profile.offload == "cpu" and profile.device == "cuda"
    return States(
        zero=zero,
        weights=weights,
        gradients=gradients,
        master=0 if away or (zero == 0 and low == 4) else 4 * part,
        moments=0 if away else 8 * part,
        host=(16 + low) * part if away else 0,
    )


def whole_gradients(share: int) -> int:
    """Most gradients that a rank holds at a time while it sums `share` micro-batches as leaves of a binary tree."""
    return max(index.bit_count() + 1 for index in range(share))

"""Bytes that training a phase takes on each device of a machine and on its host. No torch."""

from dataclasses import dataclass

from yulan.model.shape import parameters
from yulan.plan.activations import kept
from yulan.plan.states import States, states
from yulan.profile import Profile
from yulan.recipe import Model, Phase

BUCKET = 500_000_000
"""Most numbers that the engine exchanges in one call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """On one device, but for `host`."""

    states: States
    bucket: int
    """One buffer of gradients on their way."""
    activations: int
    """What a micro-batch keeps for backward, as the profile says."""
    recomputed: int
    """The same if all layers but the first kept their input only, and computed the rest again."""
    update: int
    """What the step takes for a moment, when no activations are there: the gradients in a row, and in fp32."""
    snapshot: int
    """Copy of a rank's states while a checkpoint is written behind the training; 0 on a GPU, whose host holds it."""
    device: int
    """Bytes a process may use, as the profile says."""
    host: int
    """Of all processes of one node. On a GPU: what is offloaded to it, and the larger of the fp32 model as it is made, before it
    moves to the devices, and the copy of a save. On CPU the same as needed."""

    @property
    def needed(self) -> int:
        return self.states.total + self.bucket + max(self.activations, self.update) + self.snapshot

    @property
    def least(self) -> int:
        """Needed with each layer but the first computed again."""
        return self.needed - max(self.activations, self.update) + max(self.recomputed, self.update)

    @property
    def fits(self) -> bool:
        return self.needed <= self.device


def need(model: Model, phase: Phase, profile: Profile) -> Need:
    found = parameters(model)
    numbers, low, gpu = sum(p.size for p in found), 4 if profile.precision == "fp32" else 2, profile.device == "cuda"
    held = states(found, profile, profile.zero, phase.grid)
    part = -(-numbers // profile.processes) if profile.zero else numbers
    bucket = low * min(BUCKET, numbers) if profile.zero and (gpu or profile.processes > 1) else 0
    tokens, fused = phase.batch // phase.grid * phase.context, profile.fused == "liger"
    activations = kept(model, tokens, low, recompute=profile.recompute, fused=fused)
    # Offloaded, the gradients are on the host by then.
    update = (4 + low) * part if gpu and profile.zero and profile.offload == "none" else 0
    copy = 12 * part
    snapshot = 0 if gpu else copy
    needed = held.total + bucket + max(activations, update) + snapshot
    on_a_node = -(-profile.processes // (profile.slurm.nodes if profile.slurm else 1))
    return Need(
        states=held,
        bucket=bucket,
        activations=activations,
        recomputed=min(activations, kept(model, tokens, low, recompute=model.layers, fused=fused)),
        update=update,
        snapshot=snapshot,
        device=profile.device_memory,
        host=on_a_node * (held.host + max(4 * numbers, copy) if gpu else needed),
    )

"""What a recipe costs before anything runs: tokens, steps, FLOPs, memory, disk and time. No torch."""

from dataclasses import dataclass

from yulan.model.shape import count, flops_per_token, folded_count
from yulan.profile import Profile
from yulan.recipe import Recipe

STATE_BYTES = 12
"""Of a checkpoint, per parameter: fp32 master weight and two moments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhasePlan:
    name: str
    tokens: int
    """Trained on, in whole steps."""
    steps: int
    context: int
    flops: float
    seconds: float
    """At the profile's measured rate."""
    checkpoints: int
    """Bytes of the checkpoints that stay after the phase."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    recipe: str
    profile: str
    parameters: int
    folded: int
    """Parameters once folded into plain Llama, whose head is not tied."""
    phases: tuple[PhasePlan, ...]
    rank_bytes: int
    """Model states of one rank at the profile's ZeRO stage; activations are not counted."""

    @property
    def tokens(self) -> int:
        return sum(phase.tokens for phase in self.phases)

    @property
    def flops(self) -> float:
        return sum(phase.flops for phase in self.phases)

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    @property
    def disk(self) -> int:
        """Bytes of all checkpoints that stay."""
        return sum(phase.checkpoints for phase in self.phases)


def state_bytes(parameters: int, profile: Profile) -> int:
    """Bytes of weights, gradients, master weights and moments on one rank, as ZeRO divides them."""
    low = 4 if profile.precision == "fp32" else 2
    # fp32 training has no separate master copy; ZeRO keeps one in its flat partition all the same.
    master_and_moments, gradients, weights = STATE_BYTES, low, low
    ranks = profile.processes
    return sum(
        -(-parameters * size // (ranks if profile.zero >= stage else 1))
        for size, stage in ((master_and_moments, 1), (gradients, 2), (weights, 3))
    )


def make_plan(recipe: Recipe, profile: Profile, profile_name: str) -> Plan:
    """Costs of every phase of a recipe on one machine."""
    parameters = count(recipe.model)
    phases = []
    for name, phase in recipe.phases.items():
        tokens = phase.steps * phase.step_tokens
        flops = flops_per_token(recipe.model, phase.context) * tokens
        kept = min(phase.checkpoints.keep, -(-phase.steps // phase.checkpoints.every))
        phases.append(
            PhasePlan(
                name=name,
                tokens=tokens,
                steps=phase.steps,
                context=phase.context,
                flops=flops,
                seconds=flops / profile.flops,
                checkpoints=kept * parameters * STATE_BYTES,
            )
        )
    return Plan(
        recipe=recipe.name,
        profile=profile_name,
        parameters=parameters,
        folded=folded_count(recipe.model),
        phases=tuple(phases),
        rank_bytes=state_bytes(parameters, profile),
    )

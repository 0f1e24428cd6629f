"""What a recipe costs before anything runs: tokens, steps, FLOPs, memory, disk and time. No torch."""

from dataclasses import dataclass, replace

from yulan.model.shape import count, flops_per_token, folded_count, parameters
from yulan.plan.need import Need, need
from yulan.plan.states import STAGES, States, states
from yulan.profile import Profile
from yulan.recipe import Anneal, Model, Recipe
from yulan.recipe.training import Packing
from yulan.train.able import require_able
from yulan.train.schedule import rate_in

STATE_BYTES = 12
"""Of a checkpoint, per parameter: fp32 master weight and two moments."""

REPORTABLE = 1e23
"""FLOPs that the EU takes as the sign of a general-purpose model."""

FORMULA = "6 x (numbers in matrices and the head) + 12 x layers x heads x head_dim x context FLOPs a token, forward and backward"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """What a GPU is assumed to reach, to turn FLOPs into GPU-hours."""

    mfu: float
    """Share of `peak`, by this plan's own formula; recomputation is not useful work."""
    peak: float
    """FLOP/s of one device as its maker states them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhasePlan:
    name: str
    tokens: int
    """Inputs in whole steps, padding counted."""
    start: int
    """Global step at which it begins."""
    steps: int
    context: int
    packing: Packing
    flops: float
    recompute: float
    """On top, if every layer's activations are computed again for backward."""
    cumulative: float
    """FLOPs along the path up to its end, without recomputation."""
    gpu_hours: float
    """At the stated rate."""
    seconds: float
    """At the profile's measured rate, on all of its processes."""
    checkpoint: int
    """Bytes of one: fp32 weights and both moments, JSON aside."""
    checkpoints: int
    """Bytes of those that stay after the phase."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PathPlan:
    """One way through the curriculum, from init to a final."""

    final: str
    tokens: int
    steps: int
    flops: float
    simple: float
    """6 N D: parameters of the tied model times tokens times six, as most reports count."""
    anneal: Anneal | None
    last_lr: float
    """Learning rate of the last step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """Memory that phases of one shape of micro-batch take."""

    phases: tuple[str, ...]
    windows: int
    """In a micro-batch."""
    context: int
    need: Need
    needed: int
    fits: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    recipe: str
    profile: str
    parameters: int
    """Learnable numbers, as trained: a tied head counts once."""
    untied: int
    """The same with a head of its own."""
    folded: int
    """Numbers once folded into plain Llama, whose head is not tied."""
    rate: Rate
    phases: tuple[PhasePlan, ...]
    paths: tuple[PathPlan, ...]
    states: tuple[States, ...]
    """Of one rank, for every ZeRO stage; activations are not counted."""
    zero: int
    """The profile's own stage."""
    rooms: tuple[Room, ...]
    """What the machine has to have, for every shape of micro-batch."""

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


def recompute_per_token(model: Model, context: int) -> float:
    """FLOPs a token of one more forward pass through the layers: what full activation checkpointing adds."""
    matrices = sum(p.size for p in parameters(model) if p.kind == "matrix")
    return 2.0 * matrices + 4.0 * model.layers * model.heads * model.head_dim * context


def make_plan(recipe: Recipe, profile: Profile, profile_name: str, rate: Rate) -> Plan:
    """Costs of every phase of a recipe on one machine.

    Raises: RecipeError: the machine cannot run a phase's grid, or asks for what is not there.
    """
    for phase in recipe.phases.values():
        require_able(profile, phase)
    model, numbers = recipe.model, count(recipe.model)
    flops = {name: flops_per_token(model, p.context) * p.steps * p.step_tokens for name, p in recipe.phases.items()}
    grid = max(phase.grid for phase in recipe.phases.values())
    phases = []
    for name, phase in recipe.phases.items():
        tokens = phase.steps * phase.step_tokens
        kept = min(phase.checkpoints.keep, -(-phase.steps // phase.checkpoints.every)) + phase.rebalance
        phases.append(
            PhasePlan(
                name=name,
                tokens=tokens,
                start=recipe.start(name),
                steps=phase.steps,
                context=phase.context,
                packing=phase.packing,
                flops=flops[name],
                recompute=recompute_per_token(model, phase.context) * tokens,
                cumulative=sum(flops[p] for p in recipe.path(name)),
                gpu_hours=flops[name] / (rate.mfu * rate.peak) / 3600,
                seconds=flops[name] / profile.flops,
                checkpoint=numbers * STATE_BYTES,
                checkpoints=kept * numbers * STATE_BYTES,
            )
        )
    return Plan(
        recipe=recipe.name,
        profile=profile_name,
        parameters=numbers,
        untied=count(replace(model, tie_embeddings=False)),
        folded=folded_count(model),
        rate=rate,
        phases=tuple(phases),
        paths=tuple(_path(recipe, leaf, flops, numbers) for leaf in recipe.leaves()),
        states=tuple(states(parameters(model), profile, zero, grid) for zero in STAGES),
        zero=profile.zero,
        rooms=_rooms(recipe, profile),
    )


def _rooms(recipe: Recipe, profile: Profile) -> tuple[Room, ...]:
    """Phases of one shape of micro-batch and one grid share a row."""
    shapes: dict[tuple[int, int, int], list[str]] = {}
    for name, phase in recipe.phases.items():
        shapes.setdefault((phase.batch // phase.grid, phase.context, phase.grid), []).append(name)
    rooms = []
    for (windows, context, _), names in shapes.items():
        found = need(recipe.model, recipe.phases[names[0]], profile)
        rooms.append(
            Room(phases=tuple(names), windows=windows, context=context, need=found, needed=found.needed, fits=found.fits)
        )
    return tuple(rooms)


def _path(recipe: Recipe, final: str, flops: dict[str, float], numbers: int) -> PathPlan:
    path = [recipe.phases[name] for name in recipe.path(final)]
    tokens, steps = sum(p.steps * p.step_tokens for p in path), sum(p.steps for p in path)
    anneal = recipe.anneal(final)
    return PathPlan(
        final=final,
        tokens=tokens,
        steps=steps,
        flops=sum(flops[name] for name in recipe.path(final)),
        simple=6.0 * numbers * tokens,
        anneal=anneal,
        last_lr=rate_in(final, steps, recipe),
    )

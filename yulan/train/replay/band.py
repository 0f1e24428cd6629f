"""How far honest trainings on different machines lie apart, measured before anything is judged by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations
from pathlib import Path
from typing import Any

from yulan import digest, files, manifest
from yulan.errors import DataError, RecipeError, StateError
from yulan.layout import MANIFEST
from yulan.manifest import Determinism
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.schema import check, plain, read_json
from yulan.train.checkpoint.stream import KINDS
from yulan.train.launch.job import training_keys
from yulan.train.replay.measure import FIELDS, Distances, distances

LEAST = 3
"""Perturbed trainings that a band takes, besides the reference."""
MARGIN = 10.0
"""Of the limits over what was seen: a few runs do not show the largest honest distance."""
FLOOR = 1e-6
"""Smallest limit, eight roundings of fp32: so small a distance says nothing, whatever was seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """Over the tensors of one set."""

    largest: float
    median: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """band.json: what an honest training may differ by, after how many steps, by which runs that was found."""

    format: int
    recipe: str
    phase: str
    keys: str
    """Digest of the recipe keys that training depends on."""
    start: str
    """Content digest of the checkpoint that the runs began from."""
    steps: int
    """A replay that is judged by it takes as many."""
    margin: float
    floor: float
    runs: tuple[Determinism, ...]
    """The reference and the perturbed ones, all trained by whoever made the band; nothing published is among them."""
    moved: int
    """Runs that differ from the reference in a bit."""
    rows: Mapping[str, tuple[float, ...]]
    """Limit of `loss` and `grad_norm` at each step: margin x the largest distance up to it, at least the floor."""
    tensors: Mapping[str, Limit]
    """Of each set, after the last step."""

    def __post_init__(self) -> None:
        sizes = {field: len(limits) for field, limits in self.rows.items()}
        if sizes != dict.fromkeys(FIELDS, self.steps) or set(self.tensors) != set(KINDS):
            raise DataError("the band lacks a limit", where="$.rows or $.tensors", cure="Calibrate it again")

    @property
    def digest(self) -> str:
        return digest.of_json(plain(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class Excess:
    """Something that lies outside."""

    what: str
    """`loss`, `grad_norm`, or a set and what of it: `weights largest`."""
    step: int | None
    """Global; null for the states at the end."""
    tensor: str | None
    distance: float
    limit: float


def keys_digest(recipe: Recipe, phase: str) -> str:
    return digest.of_json(recipe.keys(*training_keys(recipe, phase)))


def perturbed(profile: Profile, grid: int) -> tuple[Profile, ...]:
    """The profile itself, then others that sum in another order: other numbers of ranks, other numbers of threads."""
    named = [(ranks, profile.threads) for ranks in (1, 2, 4, 8) if grid % ranks == 0 and ranks != profile.processes]
    if profile.device == "cpu":
        named += [(profile.processes, profile.threads + more) for more in (1, 2)]
    return machines(profile, named[:LEAST])


def machines(profile: Profile, named: Sequence[tuple[int, int]]) -> tuple[Profile, ...]:
    """The profile itself, then with other numbers of (ranks, threads)."""
    # The exact reduction sums in one order whatever the ranks: it would move nothing.
    engine = replace(profile, reduction="engine")
    return (profile, *(replace(engine, processes=ranks, threads=threads) for ranks, threads in named))


def require_enough(others: int) -> None:
    """Raises: StateError: fewer than three runs besides the reference."""
    if others < LEAST:
        raise StateError(
            f"{others} perturbed runs make no band",
            where="--with",
            cure=f"Name at least {LEAST}: --with 1x1 --with 4x1 --with 1x2",
        )


def make_band(
    recipe: Recipe,
    phase: str,
    start: Path,
    runs: Sequence[tuple[Determinism, Sequence[Mapping[str, Any]], Path]],
) -> Band:
    """The band of trainings from one checkpoint: class, rows and end of each, the reference first.

    Raises: StateError: fewer than three besides the reference, or none that differs from it.
    """
    require_enough(len(runs) - 1)
    seen = {pair: _distance(start, runs[pair[0]], runs[pair[1]]) for pair in combinations(range(len(runs)), 2)}
    moved = sum(not _equal(found) for (one, _), found in seen.items() if one == 0)
    if not moved:
        raise StateError(
            "all perturbed runs are equal bit for bit", where="--with", cure="Choose other numbers of ranks and threads: --with"
        )
    steps = len(runs[0][1])
    rows = {}
    for field in FIELDS:
        widest = (max(at) for at in zip(*(found.rows[field] for found in seen.values()), strict=True))
        rows[field] = tuple(map(_limit, accumulate(widest, max)))
    kinds = sorted({kind for found in seen.values() for kind in found.tensors})
    tensors = {
        kind: Limit(
            largest=_limit(max(found.tensors[kind].largest for found in seen.values())),
            median=_limit(max(found.tensors[kind].median for found in seen.values())),
        )
        for kind in kinds
    }
    return Band(
        format=1,
        recipe=recipe.name,
        phase=phase,
        keys=keys_digest(recipe, phase),
        start=manifest.read(start / MANIFEST).digest,
        steps=steps,
        margin=MARGIN,
        floor=FLOOR,
        runs=tuple(told for told, _, _ in runs),
        moved=moved,
        rows=rows,
        tensors=tensors,
    )


def _distance(start: Path, one: tuple[Any, Any, Path], other: tuple[Any, Any, Path]) -> Distances:
    return distances((one[1], other[1]), start, (one[2], other[2]))


def _equal(found: Distances) -> bool:
    return not any(map(any, found.rows.values())) and not any(spread.largest for spread in found.tensors.values())


def _limit(seen: float) -> float:
    return max(FLOOR, MARGIN * seen)


def outside(band: Band, first: int, found: Distances) -> list[Excess]:
    """What lies beyond the band's limits, in the order of the steps; `first`: global step of the first row."""
    excess = [
        Excess(what=field, step=first + index, tensor=None, distance=found.rows[field][index], limit=band.rows[field][index])
        for index in range(band.steps)
        for field in FIELDS
        if found.rows[field][index] > band.rows[field][index]
    ]
    for kind, spread in found.tensors.items():
        limit = band.tensors[kind]
        for what, tensor, distance, most in (
            ("largest", spread.where, spread.largest, limit.largest),
            ("median", None, spread.median, limit.median),
        ):
            if distance > most:
                excess.append(Excess(what=f"{kind} {what}", step=None, tensor=tensor, distance=distance, limit=most))
    return excess


def require_fitting(band: Band, recipe: Recipe, phase: str, start: Path, steps: int, where: Path) -> None:
    """Raises: RecipeError: the band was calibrated for another training, start or number of steps."""
    if (band.recipe, band.phase, band.keys) != (recipe.name, phase, keys_digest(recipe, phase)):
        raise RecipeError(
            f"the band is of {band.recipe} {band.phase} or of other recipe keys", where=where, cure="Calibrate one for this phase"
        )
    if band.start != manifest.read(start / MANIFEST).digest:
        # How fast roundings grow depends on the stretch: a band of a calm one calls honest trainings of a wild one different.
        raise RecipeError("the band begins at another checkpoint", where=where, cure="Calibrate one for this stretch")
    if band.steps != steps:
        raise RecipeError(
            f"the band is of {band.steps} steps, not {steps}", where=where, cure=f"Replay as many: --steps {band.steps}"
        )


def write_band(path: Path, band: Band) -> None:
    check(plain(band), "band", path, DataError)
    files.write_json(path, plain(band))


def read_band(path: Path) -> Band:
    """Raises: DataError: no such file, or it breaks its schema."""
    return read_json(path, "band", Band)

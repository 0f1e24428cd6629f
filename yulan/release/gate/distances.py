"""The rule about how far training moved the weights: a label on other weights, or a lost stretch, shows there."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from yulan.release.gate.bundle import Bundle
from yulan.release.gate.rule import Noted
from yulan.release.gate.weights import CHECKPOINT
from yulan.release.names import MAIN, revision
from yulan.train.checkpoint.state import read_state
from yulan.train.schedule import rate_in

BAND = 8.0
"""The median times or over this. Of honest runs the ratio moves by warm-up, decay and the batch, each by less than 3."""
FEWEST = 3
"""Neighbours that have a median of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two checkpoints that follow each other on a path."""

    phase: str
    before: str
    after: str
    ratio: float
    """L2 distance of the master weights over the sum of the learning rates of the updates between."""

    def __str__(self) -> str:
        return f"{self.before} to {self.after}"


def distances_plausible(bundle: Bundle) -> Iterator[str | Noted]:
    """The distance between neighbours over the sum of the learning rates between is within 1/8 and 8 of its phase's median.

    A phase with fewer than three neighbours is held to the median of all.
    """
    yield from compare(list(_pairs(bundle)))


def compare(pairs: list[Pair]) -> Iterator[str | Noted]:
    """Pairs whose ratio is far from their median."""
    by_phase: dict[str, list[float]] = defaultdict(list)
    for pair in pairs:
        by_phase[pair.phase].append(pair.ratio)
    if len(pairs) < FEWEST:
        yield Noted(f"{len(pairs)} neighbours are too few to have a median")
        return
    whole = statistics.median(pair.ratio for pair in pairs)
    for pair in pairs:
        own = by_phase[pair.phase]
        median = statistics.median(own) if len(own) >= FEWEST else whole
        if not median / BAND <= pair.ratio <= median * BAND:
            yield f"{pair} is {pair.ratio:.3g} by learning rate, the median {median:.3g}"
    least, most = (bound(pair.ratio / whole for pair in pairs) for bound in (min, max))
    yield Noted(f"{len(pairs)} neighbours, {least:.2f} to {most:.2f} of the median")


def _pairs(bundle: Bundle) -> Iterator[Pair]:
    """Every checkpoint with the one before it on its path; a phase that began re-balanced is measured from what it began with."""
    recipe = bundle.book.recipe
    there = {folder.name: read_state(folder.path / CHECKPOINT) for folder in bundle.of("states") if folder.name != MAIN}
    steps: dict[str, set[int]] = defaultdict(set)
    for name, state in there.items():
        phase = state.cursor.phase
        if phase is not None and name == revision(phase, state.global_step):
            steps[phase].add(state.global_step)
    for phase in recipe.phases:
        begin, own = recipe.start(phase), sorted(steps[phase])
        first = revision(phase if recipe.phase(phase).rebalance else recipe.phase(phase).after, begin)
        names = [first, *(revision(phase, step) for step in own if step > begin)]
        for before, after in pairwise(names):
            if before not in there:
                continue
            skipped = set(there[after].skipped)
            low, high = there[before].global_step, there[after].global_step
            rates = math.fsum(rate_in(phase, step, recipe) for step in range(low + 1, high + 1) if step not in skipped)
            yield Pair(phase=phase, before=before, after=after, ratio=_distance(bundle, before, after) / rates)


def _distance(bundle: Bundle, before: str, after: str) -> float:
    """One tensor of each in memory at a time."""
    import torch

    from yulan.release.weights import Lazy
    from yulan.train.checkpoint.read import read_checkpoint

    one, two = (Lazy(read_checkpoint(bundle.path / "states" / name / CHECKPOINT)) for name in (before, after))
    return math.sqrt(math.fsum(float(torch.sum((one[name].double() - two[name].double()) ** 2)) for name in one))

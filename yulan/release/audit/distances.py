"""Whether neighbouring checkpoints of a phase lie as far apart as its learning rate lets them; asked of sampled numbers."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from yulan.release.audit.finding import Finding
from yulan.release.audit.layouts import phase_of, step_of
from yulan.release.audit.survey import Seen, Survey, spread
from yulan.release.audit.tensors import Tensor, safetensors
from yulan.release.audit.texts import STATES

REVISIONS, TENSORS, WIDTH = 16, 3, 2048
"""Checkpoints of all phases together, matrices of each, and numbers of each, from its middle; with --deep all checkpoints."""
NEAREST, FARTHEST = 1 / 8, 8.0
"""Distance over the sum of the rates between two neighbours, against the phase's median."""
LEAST = 3
"""Pairs of neighbours below which a phase has no median that could tell one of them apart."""
Rates = Mapping[int, float]
"""Step -> its learning rate."""


def distances(survey: Survey, states: Survey | None) -> Iterator[Finding]:
    """Distance between neighbours over the sum of the rates between them, within [1/8, 8] of the phase's median."""
    phases: dict[str, list[Seen]] = defaultdict(list)
    for seen in survey.revisions if survey.hub is not None else ():
        if step_of(seen.name) is not None:
            phases[phase_of(seen.name)].append(seen)
    long = {name: sorted(each, key=_step) for name, each in phases.items() if len(each) > LEAST}
    share = max(LEAST + 1, REVISIONS // max(1, len(long)))
    checked = 0
    for phase, revisions in sorted(long.items())[: REVISIONS // (LEAST + 1)] if not survey.deep else sorted(long.items()):
        chosen = revisions if survey.deep else spread(revisions, share)
        rates = _rates(survey, states, chosen)
        if len(rates) < 2:
            continue
        held = [(seen, _sample(safetensors(survey, seen))) for seen in chosen]
        ratios = {}
        for (one, first), (two, second) in pairwise(held):
            total = summed(rates, _step(one), _step(two))
            if total > 0 and (apart := _apart(first, second)):
                ratios[one.name, two.name] = apart / total
        if len(ratios) < LEAST:
            continue
        checked += 1
        middle = statistics.median(ratios.values())
        for (before, after), ratio in ratios.items():
            if not NEAREST <= ratio / middle <= FARTHEST:
                what = (
                    f"{ratio / middle:.3g} times as far from {before} as is usual in {phase or 'this run'} at its learning rate"
                )
                yield Finding(id="distance", severity="warning", where=after, what=what)
    if phases and not checked:
        needed = (
            f"{LEAST + 1} checkpoints of a phase, {WIDTH:,} numbers in a tensor, trainers' states that tell the learning rate"
        )
        what = f"distances between neighbours were not compared: it takes {needed}"
        yield Finding(id="distance-unchecked", severity="note", where=survey.repo.id, what=what)


def _step(seen: Seen) -> int:
    return step_of(seen.name) or 0


def _rates(survey: Survey, states: Survey | None, revisions: list[Seen]) -> Rates:
    """What the trainers' states of these revisions say, or those of the same names beside them."""
    found: dict[int, float] = {}
    for seen in revisions:
        for where in (survey, states):
            there = next((s for s in where.revisions if s.name == seen.name), None) if where else None
            if where is None or there is None:
                continue
            for name in there.files:
                if PurePosixPath(name).name in STATES:
                    found |= told(where, there, name)
    return found


def told(survey: Survey, seen: Seen, name: str) -> Rates:
    """Rates in a trainer's state: ours says that of its last step, transformers' those that were logged."""
    try:
        state = survey.json(seen, name)
    except ValueError:
        return {}
    if not isinstance(state, dict):
        return {}
    rows = [{"step": state.get("global_step"), "learning_rate": state.get("lr")}]
    rows += state["log_history"] if isinstance(state.get("log_history"), list) else []
    return {
        row["step"]: float(row["learning_rate"])
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("step"), int) and isinstance(row.get("learning_rate"), int | float)
    }


def summed(rates: Rates, start: int, end: int) -> float:
    """Sum of the rates of the steps after `start` up to `end`; between those that are told the rate runs straight."""
    steps = np.array(sorted(rates), np.float64)
    values = np.array([rates[step] for step in sorted(rates)], np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        return 0.0
    at = np.array([start, *(s for s in steps if start < s < end), end], np.float64)
    return float(np.trapezoid(np.interp(at, steps, values), at))


def _sample(tensors: Mapping[str, Tensor]) -> dict[str, npt.NDArray[np.float32]]:
    """Numbers from the middle of the largest tensors, by name."""
    large = spread(sorted(name for name, tensor in tensors.items() if tensor.size >= WIDTH), TENSORS)
    found = {name: tensors[name].values((tensors[name].size - WIDTH) // 2, WIDTH) for name in large}
    return {name: values for name, values in found.items() if values is not None}


def _apart(one: Mapping[str, npt.NDArray[np.float32]], two: Mapping[str, npt.NDArray[np.float32]]) -> float:
    """Root of the sum of squared differences over the tensors that both have; 0 if none or not finite."""
    squares = [float(np.square(one[n].astype(np.float64) - two[n]).sum()) for n in sorted(one.keys() & two.keys())]
    return math.sqrt(sum(squares)) if squares and all(map(math.isfinite, squares)) else 0.0

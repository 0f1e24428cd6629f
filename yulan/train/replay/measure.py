"""How far two trainings of the same steps lie apart: 0 is equal, 2 the largest."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from yulan.train.checkpoint.read import Checkpoint, read_checkpoint
from yulan.train.checkpoint.state import read_tensors
from yulan.train.checkpoint.stream import KINDS

FAR = 2.0
"""Of what is not finite on one side, or is missing there."""
FIELDS = ("loss", "grad_norm")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Over the tensors of one set."""

    largest: float
    where: str
    """The tensor that has it."""
    median: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Distances:
    rows: Mapping[str, tuple[float, ...]]
    """`loss` and `grad_norm`, step by step: |a - b| / max(|a|, |b|)."""
    tensors: Mapping[str, Spread]
    """Of each set: |a - b| / max(|a|, |b|), L2 norms in fp64, weights as their way from the start. Empty: not compared."""


def apart(one: float, other: float) -> float:
    """|a - b| / max(|a|, |b|); equal values that are not finite are equal."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return FAR
    return abs(one - other) / max(abs(one), abs(other))


def _number(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return math.inf


def distances(
    rows: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]], start: Path, ends: tuple[Path, Path] | None
) -> Distances:
    """Of two trainings from one checkpoint, by the rows of their replay logs and, where both are there, the checkpoints after."""
    told = {
        field: tuple(apart(float.fromhex(a[field]), float.fromhex(b[field])) for a, b in zip(*rows, strict=True))
        for field in FIELDS
    }
    return Distances(rows=told, tensors=_spreads(start, *ends) if ends else {})


def _spreads(start: Path, one: Path, other: Path) -> dict[str, Spread]:
    sums = [{(row.set, row.name): row.sha256 for row in read_tensors(folder).tensors} for folder in (one, other)]
    begin, a, b = (read_checkpoint(folder) for folder in (start, one, other))
    found: dict[str, list[tuple[float, str]]] = {kind: [] for kind in KINDS}
    for key in sums[0].keys() | sums[1].keys():
        if sums[0].get(key) == sums[1].get(key):
            far = 0.0
        elif key not in sums[0] or key not in sums[1]:
            far = FAR
        else:
            far = _tensor(begin, a, b, *key)
        found[key[0]].append((far, key[1]))
    spreads = {}
    for kind, each in found.items():
        if each:
            largest, where = max(each)
            spreads[kind] = Spread(largest=largest, where=where, median=statistics.median(far for far, _ in each))
    return spreads


def _tensor(start: Checkpoint, one: Checkpoint, other: Checkpoint, kind: str, name: str) -> float:
    a, b = one.tensor(name, kind).double(), other.tensor(name, kind).double()
    if a.shape != b.shape:
        return FAR
    origin: Tensor | float = start.tensor(name, kind).double() if kind == KINDS[0] else 0.0
    # A distance that float64 cannot tell from none is still one: the bits differ.
    size = max(float((a - origin).norm()), float((b - origin).norm()), math.ulp(0.0))
    far = float((a - b).norm()) / size
    return min(far, FAR) if math.isfinite(far) else FAR

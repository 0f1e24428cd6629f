"""Two models on the same items: the difference of each task's value, with an interval over paired items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from yulan import digest
from yulan.errors import DataError
from yulan.evaluate.evaluated import NAME, Evaluated, TaskResult, read_evaluated, read_samples
from yulan.evaluate.intervals import RESAMPLES, Interval, ratio
from yulan.schema import check, plain

SEED = 0
FEWEST = 10
"""Items below which a percentile bootstrap promises more than it knows; of one item it has no width at all."""
ROUNDING = 1e-5
"""fp32 sums in another order move a value by less, on every document alike: 3e-8 between nano's final and its folded form."""
SAME: Mapping[str, str] = {
    "metric": "are judged by different metrics",
    "prompt": "were asked by different prompts",
    "shots": "were shown different numbers of items",
    "data": "were asked different data",
}
"""What two results must share, and how it is told of those that do not. Prompts may be cut at another context."""
Verdict = Literal["b is better", "a is better", "no difference shown", "not compared"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Figures are null where `verdict` is `not compared`."""

    metric: str
    higher_is_better: bool
    a: float | None
    b: float | None
    items: int | None
    difference: float | None
    """b - a."""
    low: float | None
    high: float | None
    """Bounds of its 95 % interval."""
    verdict: Verdict
    reason: str | None
    """Why it is not compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    format: int
    a: str
    """sha256 of evaluated.json."""
    b: str
    resamples: int
    seed: int
    tasks: Mapping[str, Difference]


def compare(one: Path, other: Path) -> Compared:
    """`one` and `other` are folders that `yulan evaluate` made.

    Raises: DataError: one is not, or they answer different suites; IntegrityError: rows that a result was not made of.
    """
    a, b = read_evaluated(one), read_evaluated(other)
    if a.suite.name != b.suite.name:
        raise DataError(f"answers suite {b.suite.name!r}, not {a.suite.name!r}", where=other, cure="Compare answers to one suite")
    rows_a, rows_b = dict(read_samples(one, a)), dict(read_samples(other, b))
    names = [name for name in a.tasks if name in b.tasks]
    made = Compared(
        format=1,
        a=digest.of_file(one / NAME),
        b=digest.of_file(other / NAME),
        resamples=RESAMPLES,
        seed=SEED,
        tasks={name: _difference(a, b, name, rows_a.get(name, []), rows_b.get(name, [])) for name in names},
    )
    check(plain(made), "compared", other, DataError)
    return made


def _difference(
    a: Evaluated, b: Evaluated, name: str, rows_a: Sequence[Mapping[str, Any]], rows_b: Sequence[Mapping[str, Any]]
) -> Difference:
    first, second = a.tasks[name], b.tasks[name]
    reason = _unlike(first, second)
    pairs = _pairs(rows_a, rows_b) if reason is None else []
    if len(pairs) < FEWEST:
        return Difference(
            metric=first.metric,
            higher_is_better=first.higher_is_better,
            a=None,
            b=None,
            items=None,
            difference=None,
            low=None,
            high=None,
            verdict="not compared",
            reason=reason or f"share {len(pairs)} items, fewer than {FEWEST}",
        )
    sizes = [float(one.get("bytes", 1)) for one, _ in pairs]
    amounts_a, amounts_b = ([_amount(each) for each in side] for side in zip(*pairs, strict=True))
    found = ratio([y - x for x, y in zip(amounts_a, amounts_b, strict=True)], sizes, SEED)
    return Difference(
        metric=first.metric,
        higher_is_better=first.higher_is_better,
        a=sum(amounts_a) / sum(sizes),
        b=sum(amounts_b) / sum(sizes),
        items=len(pairs),
        difference=found.value,
        low=found.low,
        high=found.high,
        verdict=_verdict(found, first.higher_is_better),
        reason=None,
    )


def _unlike(first: TaskResult, second: TaskResult) -> str | None:
    for which, result in (("a", first), ("b", second)):
        if result.state == "not run":
            return f"{which} was not run: {result.reason}"
    return next((told for name, told in SAME.items() if getattr(first, name) != getattr(second, name)), None)


def _pairs(
    rows_a: Sequence[Mapping[str, Any]], rows_b: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Rows of the same item; both were asked the same data, one perhaps fewer items of it."""
    known = {(row["task"], row["item"]): row for row in rows_b}
    return [(row, known[key]) for row in rows_a if (key := (row["task"], row["item"])) in known]


def _amount(row: Mapping[str, Any]) -> float:
    """What is summed, and divided by items or bytes."""
    return float(row["bits"] if "bits" in row else row["score"])


def _verdict(found: Interval, higher_is_better: bool) -> Verdict:
    if not found.beyond_zero or abs(found.value) < ROUNDING:
        return "no difference shown"
    return "b is better" if (found.value > 0) == higher_is_better else "a is better"

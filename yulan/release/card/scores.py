"""Which figures of evaluation.json a card shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yulan.errors import DataError
from yulan.release.card.evidence import pointer

EVALUATION = "evaluation.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bits:
    """Bits per byte of one family of sources; JSON Pointers."""

    family: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    task: str
    metric: str
    """lm-eval's name of it."""
    value: str
    stderr: str
    shots: str
    items: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    bits: tuple[Bits, ...]
    benchmarks: tuple[Benchmark, ...]


def scores(evaluation: Mapping[str, Any]) -> Scores:
    """Where the figures stand.

    Raises: DataError: not an evaluation.
    """

    def keys(section: str, name: str, *told: str) -> dict[str, str]:
        return {key: pointer(section, name, key) for key in told}

    try:
        bits = tuple(
            Bits(family=name, before=pointer("held_out", name, "before"), after=pointer("held_out", name, "bits_per_byte"))
            for name in evaluation["held_out"]
        )
        benchmarks = tuple(
            Benchmark(task=name, metric=task["metric"], **keys("tasks", name, "value", "stderr", "shots", "items"))
            for name, task in evaluation["tasks"].items()
        )
    except (KeyError, TypeError, AttributeError):
        raise DataError("not an evaluation", where=EVALUATION, cure="Build it again: dvc repro evaluate") from None
    return Scores(bits=bits, benchmarks=benchmarks)

"""Which figures of evaluation.json a card shows, and under which words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yulan.release.card.evidence import pointer

EVALUATION = "evaluation.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    label: str
    key: str
    """JSON Pointer of the value."""
    stderr: str | None
    """JSON Pointer of its standard error."""


def scores(evaluation: Any) -> list[Score]:
    """Every figure called `bits_per_byte`, and every one that has a `stderr` beside its `value`, in the file's order."""
    return list(_found(evaluation, ()))


def _found(value: Any, path: tuple[str | int, ...]) -> Iterator[Score]:
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _found(each, (*path, index))
    if not isinstance(value, dict):
        return
    for name in ("bits_per_byte", "value"):
        if isinstance(value.get(name), int | float) and (name != "value" or "stderr" in value):
            label = " ".join(str(part) for part in path[1:] if not isinstance(part, int)).replace("_", " ")
            stderr = pointer(*path, "stderr") if isinstance(value.get("stderr"), int | float) else None
            yield Score(label=f"{label} {name}".removesuffix(" value").replace("_", " "), key=pointer(*path, name), stderr=stderr)
    for name, each in value.items():
        yield from _found(each, (*path, name))

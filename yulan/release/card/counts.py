"""Which figures of stages' manifests the data card shows: what was kept and dropped, and by which thresholds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from yulan.release.card.evidence import pointer


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A figure: JSON Pointer, and how it is written."""

    label: str
    key: str
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A stage through which documents went."""

    stage: str
    file: str
    documents: str
    """JSON Pointers."""
    bytes: str
    dropped: tuple[Cell, ...]
    """By reason, the most frequent first."""
    settings: tuple[Cell, ...]
    """Thresholds and other numbers of the recipe that the stage went by."""


def steps(manifests: Mapping[str, Mapping[str, Any]]) -> tuple[Step, ...]:
    """Of the stages whose manifests count documents, in the order given; `manifests` maps a stage to its manifest."""
    found = []
    for stage, raw in manifests.items():
        summary = raw["summary"]
        if "dropped" not in summary:
            continue
        reasons = sorted(summary["dropped"], key=lambda name: (-summary["dropped"][name], name))
        found.append(
            Step(
                stage=stage,
                file=f"lineage/{stage}.json",
                documents=pointer("summary", "documents"),
                bytes=pointer("summary", "bytes"),
                dropped=tuple(Cell(label=name, key=pointer("summary", "dropped", name), kind="integer") for name in reasons),
                settings=tuple(settings(raw["keys"])),
            )
        )
    return tuple(found)


def settings(keys: Mapping[str, Any]) -> Iterator[Cell]:
    """Numbers, switches and lists of numbers among a manifest's recipe keys, each under its dotted name."""
    for name, value in sorted(keys.items()):
        if name.startswith("data."):
            yield from _leaves(value, name, ("keys", name))


def _leaves(value: Any, label: str, path: tuple[str, ...]) -> Iterator[Cell]:
    if isinstance(value, Mapping):
        for key, inner in sorted(value.items()):
            yield from _leaves(inner, f"{label}.{key}", (*path, key))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield Cell(label=label, key=pointer(*path), kind="integer")
    elif isinstance(value, bool | float) or (isinstance(value, list) and value and not any(isinstance(v, str) for v in value)):
        yield Cell(label=label, key=pointer(*path), kind="text")

"""Why documents were dropped: counts for the manifest, ten samples a reason as evidence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from yulan import files
from yulan.schema import plain, read_json

NAME = "drops.json"
SAMPLES = 10
SAMPLE_CHARS = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    id: str
    text: str
    """The first 200 characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    count: int
    samples: tuple[Sample, ...]
    """The ten with the smallest ids."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """What happened to a source's documents."""

    documents: int
    """Before."""
    kept: int
    characters: int
    """Unicode characters of the kept documents."""
    bytes: int
    """UTF-8 bytes of the kept documents."""
    reasons: Mapping[str, Reason]
    """Why the others were dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drops:
    """drops.json."""

    format: int
    sources: Mapping[str, Flow]

    def summary(self) -> dict[str, object]:
        """Totals, and per source counts, for a manifest."""
        reasons: dict[str, int] = {}
        for flow in self.sources.values():
            for name, reason in flow.reasons.items():
                reasons[name] = reasons.get(name, 0) + reason.count
        return {
            "documents": sum(flow.kept for flow in self.sources.values()),
            "characters": sum(flow.characters for flow in self.sources.values()),
            "bytes": sum(flow.bytes for flow in self.sources.values()),
            "dropped": dict(sorted(reasons.items())),
            "sources": {
                name: {
                    "documents": flow.kept,
                    "dropped": flow.documents - flow.kept,
                    "characters": flow.characters,
                    "bytes": flow.bytes,
                }
                for name, flow in sorted(self.sources.items())
            },
        }


def flow(kept: list[str], dropped: Mapping[str, list[tuple[str, str]]]) -> Flow:
    """Count the kept texts and the (id, text) pairs dropped for each reason."""
    reasons = {
        name: Reason(count=len(pairs), samples=tuple(Sample(id=i, text=t[:SAMPLE_CHARS]) for i, t in sorted(pairs)[:SAMPLES]))
        for name, pairs in sorted(dropped.items())
    }
    return Flow(
        documents=len(kept) + sum(reason.count for reason in reasons.values()),
        kept=len(kept),
        characters=sum(map(len, kept)),
        bytes=sum(len(text.encode()) for text in kept),
        reasons=reasons,
    )


def split(table: pa.Table, reasons: list[str | None]) -> tuple[pa.Table, Flow]:
    """Rows without a reason, and the flow of all."""
    ids, texts = table["id"].to_pylist(), table["text"].to_pylist()
    dropped: dict[str, list[tuple[str, str]]] = {}
    for identity, text, reason in zip(ids, texts, reasons, strict=True):
        if reason is not None:
            dropped.setdefault(reason, []).append((identity, text))
    kept = [row for row, reason in enumerate(reasons) if reason is None]
    return table.take(pa.array(kept, pa.int64())), flow([texts[row] for row in kept], dropped)


def join(flows: Iterable[Flow]) -> Flow:
    """The flow of a source from those of its parts."""
    parts = list(flows)
    reasons = {}
    for name in sorted({name for part in parts for name in part.reasons}):
        found = [part.reasons[name] for part in parts if name in part.reasons]
        samples = tuple(sorted((s for reason in found for s in reason.samples), key=lambda s: (s.id, s.text))[:SAMPLES])
        reasons[name] = Reason(count=sum(reason.count for reason in found), samples=samples)
    return Flow(
        documents=sum(part.documents for part in parts),
        kept=sum(part.kept for part in parts),
        characters=sum(part.characters for part in parts),
        bytes=sum(part.bytes for part in parts),
        reasons=reasons,
    )


def write_drops(folder: Path, sources: Mapping[str, Flow]) -> Drops:
    drops = Drops(format=1, sources=dict(sorted(sources.items())))
    files.write_json(folder / NAME, plain(drops))
    return drops


def read_drops(folder: Path) -> Drops:
    """Raises: DataError: no such file, or it breaks its schema."""
    return read_json(folder / NAME, "drops", Drops)

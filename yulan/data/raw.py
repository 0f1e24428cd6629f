"""Texts of each source as documents: from here on each has its id.

A partition is a run of a source's files, of PART_BYTES or one file; what it holds is spread over buckets by id. Then each bucket
is a partition that is sorted into parts. Memory holds one bucket, never a source.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from yulan import digest, files
from yulan.data import frames, spill
from yulan.data.drops import SAMPLES, Drops, Flow, Reason, Sample, join, write_drops
from yulan.data.partitions import Made, Partition, Partitions, passing
from yulan.data.readers import Reject, documents
from yulan.data.readers.reject import Rejected
from yulan.data.removal import ON_REQUEST, leave_out
from yulan.data.sources import located
from yulan.errors import DataError
from yulan.recipe.sources import Source
from yulan.schema import plain, structure

REJECTS = "rejects.jsonl"
"""The first LISTED lines, rows or files of each source that could not be a document; drops.json counts all."""
LISTED = 1000


def write_raw(
    sources: Mapping[str, Source],
    folder: Path,
    into: Path,
    partitions: Partitions | None = None,
    removed: frozenset[str] = frozenset(),
) -> Drops:
    """Read every source that has a package, from what `gather` filled, but for the documents of `removed`.

    Raises: DataError: a source has no files or not one document.
    """
    if partitions is None:
        with passing(into) as passed:
            return write_raw(sources, folder, into, passed, removed)
    flows, rejected = {}, []
    for name, source in sorted(sources.items()):
        if not source.packaged:
            continue
        work = Reading.of(name, source, folder, removed)
        sorted_ = work.run(partitions)
        flows[name] = structure(sorted_[0].summary["flow"], Flow)
        if not flows[name].kept:
            asked = ON_REQUEST in flows[name].reasons
            cure = "Take it out of the mixes: all was removed on request" if asked else "Correct its paths or its reader"
            raise DataError("no document in it", where=f"sources.yaml: $.sources.{name}", cure=cure)
        parts = [path for made in sorted_ for path in sorted(made.data.iterdir())]
        for number, path in enumerate(parts):
            frames.link(path, into / name / f"{number:05}.parquet")
        rejected += sorted_[0].summary["rejected"]
    files.write_rows(into / REJECTS, rejected)
    return write_drops(into, flows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The partitions of one source."""

    name: str
    files: tuple[tuple[Path, ...], ...]
    """Those of each partition."""
    buckets: int
    reads: tuple[Partition, ...]
    inputs: Mapping[str, str]
    """What the source as a whole is made from."""

    @classmethod
    def of(cls, name: str, source: Source, folder: Path, removed: frozenset[str]) -> "Reading":
        paths = located(folder, source)
        runs = tuple(_runs(paths))
        about = {"source": digest.of_json(plain(source)), "removed": digest.of_json(sorted(removed))}
        sums = {path: digest.of_file(path) for path in paths}
        told = [digest.of_json([[path.relative_to(folder).as_posix(), sums[path]] for path in run]) for run in runs]
        buckets = spill.buckets_for(sum(map(spill.text_bytes, paths)))
        reads = tuple(
            Partition(
                name=f"{name}/read-{number:05}",
                inputs=about | {"files": files_},
                work=partial(_read, name, source, run, buckets, removed),
            )
            for number, (run, files_) in enumerate(zip(runs, told, strict=True))
        )
        return cls(name=name, files=runs, buckets=buckets, reads=reads, inputs=about | {"files": digest.of_json(told)})

    def run(self, partitions: Partitions) -> list[Made]:
        """The sorted buckets. Those of a source that is done hold all that is known of it, so its spread text goes."""
        found = partitions.finished([self._sorting(number, []) for number in range(self.buckets)])
        if found is None:
            made = list(partitions.make(self.reads))
            found = list(partitions.make([self._sorting(number, made) for number in range(self.buckets)]))
        partitions.drop(self.reads)
        return found

    def _sorting(self, number: int, reads: Sequence[Made]) -> Partition:
        return Partition(name=f"{self.name}/sort-{number:03}", inputs=self.inputs, work=partial(_sort, self.name, number, reads))


def _runs(paths: Iterable[Path]) -> Iterator[tuple[Path, ...]]:
    """Neighbours of PART_BYTES together; a longer file is alone."""
    run: list[Path] = []
    size = 0
    for path in paths:
        length = path.stat().st_size
        if run and size + length > frames.PART_BYTES:
            yield tuple(run)
            run, size = [], 0
        run.append(path)
        size += length
    yield tuple(run)


@dataclass(kw_only=True, slots=True)
class Tally:
    """Counts of what a reader found. Ten samples of a reason stay, and the first LISTED rejects."""

    kept: int = 0
    characters: int = 0
    bytes: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=dict)
    listed: list[Reject] = field(default_factory=list)

    def keep(self, text: str) -> None:
        self.kept += 1
        self.characters += len(text)
        self.bytes += len(text) if text.isascii() else len(text.encode())

    def reject(self, found: Reject) -> None:
        self.rejected[found.reason] += 1
        held = self.samples.setdefault(found.reason, [])
        held.append(found.where)
        if len(held) > 64 * SAMPLES:
            held[:] = heapq.nsmallest(SAMPLES, held)
        if len(self.listed) < LISTED:
            self.listed.append(found)

    @property
    def flow(self) -> Flow:
        reasons = {
            name: Reason(count=count, samples=tuple(Sample(id=w, text="") for w in heapq.nsmallest(SAMPLES, self.samples[name])))
            for name, count in sorted(self.rejected.items())
        }
        documents_ = self.kept + self.rejected.total()
        return Flow(documents=documents_, kept=self.kept, characters=self.characters, bytes=self.bytes, reasons=reasons)


def _read(
    name: str, source: Source, paths: Sequence[Path], buckets: int, removed: frozenset[str], into: Path
) -> Mapping[str, Any]:
    return frames.call(partial(_spread, name, source, list(paths), buckets, removed, into))


def _spread(name: str, source: Source, paths: list[Path], buckets: int, removed: frozenset[str], into: Path) -> dict[str, Any]:
    tally = Tally()

    def pairs() -> Iterator[tuple[str, str]]:
        for found in leave_out(documents(source, name, paths), removed):
            if isinstance(found, Reject):
                tally.reject(found)
            else:
                tally.keep(found)
                yield digest.of_text(found), found

    spill.spread(pairs(), into, buckets)
    rows = [plain(Rejected(source=name, where=each.where, reason=each.reason)) for each in tally.listed]
    return {"flow": plain(tally.flow), "rejected": rows}


def _sort(name: str, number: int, reads: Sequence[Made], into: Path) -> Mapping[str, Any]:
    frames.call(partial(_write_bucket, name, number, [made.data for made in reads], frames.PART_BYTES, into))
    if number:
        return {}
    flow = join(structure(made.summary["flow"], Flow) for made in reads)
    rows = [row for made in reads for row in made.summary["rejected"]]
    return {"flow": plain(flow), "rejected": rows[:LISTED]}


def _write_bucket(name: str, number: int, folders: list[Path], part_bytes: int, into: Path) -> dict[str, Any]:
    table = spill.sort(folders, number)
    frames.write_sorted(into, table.append_column("source", pa.array([name] * len(table), pa.string())), part_bytes)
    return {}

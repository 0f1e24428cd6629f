"""Finished partitions of a stage's work. They outlive a kill, so that a stage that runs again does not do them again.

DVC deletes a stage's outputs before it runs, so a partition lies below `runs/`: `<name>/manifest.json` beside `<name>/data/`,
the manifest written last. What counts as finished is one whose every byte is as its manifest lists and which was made from the
same inputs under the same keys. The stage's last act is to give these files their second name, in its output.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yulan import files, manifest
from yulan.errors import StateError, YulanError
from yulan.layout import Layout, Place
from yulan.manifest import Manifest

PART = "documents.parquet"
"""What a part of documents has become, in the partition that was made from it."""
LOCK = "partitions.lock"
PATIENCE = 5.0
"""Seconds that the stage of a killed `dvc repro` is given to die."""
Work = Callable[[Path], Mapping[str, Any]]
"""Fills a folder with a partition's output and returns its summary, which is JSON. Equal inputs and keys give equal bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """One piece of a stage's input and what is done with it."""

    name: str
    """A path below the stage's folder: `en/wiki/00000`."""
    inputs: Mapping[str, str]
    """Digests of all that its bytes depend on, but for the stage's keys and code."""
    work: Work


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A finished partition."""

    name: str
    data: Path
    """Folder of its files. They may be linked, never changed."""
    summary: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Partitions:
    """The finished partitions of one stage under one set of keys and one state of the code."""

    folder: Path
    keys: Mapping[str, Any]
    at_once: int
    """Partitions that are worked on together, each in a thread and a Daft plan of its own."""
    before: list[str] = field(default_factory=list)
    """Names of those that were found finished."""
    now: list[str] = field(default_factory=list)
    """Names of those that were done."""

    def make(self, wanted: Sequence[Partition]) -> Iterator[Made]:
        """Finish each partition that is not, and hand all of them on in the order asked for."""
        if self.at_once == 1 or len(wanted) < 2:
            yield from map(self._make, wanted)
            return
        pool = ThreadPoolExecutor(self.at_once)
        try:
            yield from pool.map(self._make, wanted)
        finally:
            pool.shutdown(cancel_futures=True)

    def finished(self, wanted: Sequence[Partition]) -> list[Made] | None:
        """All of these, if none of them is left to do."""
        found = []
        for each in wanted:
            made = self._find(each)
            if made is None:
                return None
            found.append(made)
        self.before.extend(each.name for each in found)
        return found

    def drop(self, wanted: Sequence[Partition]) -> None:
        """Remove partitions whose output nobody reads again."""
        for each in wanted:
            files.remove(self._place(each).folder)

    def _make(self, each: Partition) -> Made:
        found = self._find(each)
        if found is not None:
            self.before.append(each.name)
            return found
        made = self._do(each)
        self.now.append(each.name)
        return made

    def _do(self, each: Partition) -> Made:
        place = self._place(each)
        # Before the work, so that no old manifest lists new bytes.
        files.remove(place.folder)
        summary = each.work(files.make_folder(place.data))
        made = Manifest(
            format=manifest.FORMAT,
            stage="partition",
            name=each.name,
            files=manifest.survey(place.data),
            inputs=dict(each.inputs),
            keys=dict(self.keys),
            summary=dict(summary),
            determinism=None,
        )
        manifest.write(place.manifest, made)
        return Made(name=each.name, data=place.data, summary=made.summary)

    def _find(self, each: Partition) -> Made | None:
        place = self._place(each)
        try:
            told = manifest.read(place.manifest)
            if (told.name, dict(told.inputs), dict(told.keys)) != (each.name, dict(each.inputs), dict(self.keys)):
                return None
            return None if manifest.differences(place.data, told) else Made(name=each.name, data=place.data, summary=told.summary)
        except YulanError:
            # Not there, cut short or spoilt: each is done again.
            return None

    def _place(self, each: Partition) -> Place:
        return Place(folder=self.folder / each.name)


@contextmanager
def kept(folder: Path, *, keys: Mapping[str, Any], at_once: int) -> Iterator[Partitions]:
    """Partitions that stay in `folder`, for one process at a time.

    Raises: StateError: another process works in the folder.
    """
    handle = files.lock(folder / LOCK, PATIENCE)
    try:
        yield Partitions(folder=folder, keys=keys, at_once=at_once)
    finally:
        os.close(handle)


@contextmanager
def passing(into: Path) -> Iterator[Partitions]:
    """Partitions that lie beside an output until it is written: nothing of them is kept."""
    folder = into.with_name(f"{into.name}{files.PARTIAL}")
    files.remove(folder)
    try:
        yield Partitions(folder=folder, keys={}, at_once=1)
    finally:
        files.remove(folder)


def sweep(layout: Layout) -> list[tuple[Path, int]]:
    """Remove the partitions of stages whose output is sealed and in which nobody works.

    Returns: folder, relative to the clone, and bytes that no other name keeps.
    """
    swept = []
    for lock in sorted(layout.runs("*", "*").parent.parent.glob(f"*/*/{LOCK}")):
        folder = lock.parent
        if not layout.stage(folder.parent.name).manifest.exists():
            continue
        try:
            handle = files.lock(lock)
        except StateError:
            continue
        freed = sum(info.st_size for path in folder.rglob("*") if path.is_file() and (info := path.stat()).st_nlink == 1)
        files.remove(folder)
        os.close(handle)
        swept.append((folder.relative_to(layout.root), freed))
    return swept

"""Which ids of which document are inputs of which window. It reads tables alone, no token, so it works without the shards' bytes.

A window of T + 1 ids has T inputs; its last id is the next window's first input. Counted by inputs, each id of a phase's
budget has one place.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from yulan.data.pack import OFFSETS, PIECE, PIECES, Header, Ints, read_header
from yulan.data.shard import DAMAGE, Shards
from yulan.errors import DataError, IntegrityError

CURE = "Restore it with: dvc checkout"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Table:
    """Documents of one source's train stream, in its order."""

    ids: pa.Array
    starts: Ints
    lengths: Ints


Documents = Callable[[str, int, int], Table]
"""The documents of a source that reach into [low, high) of its train stream."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Places:
    """Stretches of one document in one window each: P of them, columns of equal length."""

    document: Ints
    """Row of `table`."""
    row: Ints
    """Of the pack."""
    position: Ints
    """First input, in [0, T)."""
    start: Ints
    """That id's number in its document."""
    length: Ints
    table: Table
    source: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Windows:
    """A pack without its tokens, mapped."""

    folder: Path
    header: Header
    offsets: npt.NDArray[np.uint64]
    pieces: npt.NDArray[np.void]
    bases: Ints
    """Tokens of the stream before each shard."""
    sizes: Ints
    """Tokens of each shard."""

    @classmethod
    def open(cls, folder: Path, shards: Shards) -> "Windows":
        """Raises: DataError: pack.json is wrong; IntegrityError: a table has another size, or a shard is none of the sources'."""
        header = read_header(folder)
        offsets = _mapped(folder / OFFSETS, np.dtype("<u8"), header.windows + 1)
        pieces = _mapped(folder / PIECES, PIECE, int(offsets[-1]))
        found: dict[str, tuple[int, int]] = {}
        for source in shards.sources.values():
            before = 0
            for file in source.train.files:
                found[file.path] = (before, file.tokens)
                before += file.tokens
        if unknown := [path for path in header.shards if path not in found]:
            raise IntegrityError(f"{unknown[0]} is not in shards.json", where=folder, cure="Build the mix again")
        bases, sizes = np.array([found[path] for path in header.shards], np.int64).T
        return cls(folder=folder, header=header, offsets=offsets, pieces=pieces, bases=bases, sizes=sizes)

    def places(self, rows: Ints, documents: Documents) -> list[Places]:
        """Where the inputs of windows `rows` come from, by source.

        Raises: IntegrityError: a piece of them lies outside its shard, or no document reaches there.
        """
        first, last = (self.offsets[rows + each].astype(np.int64) for each in (0, 1))
        count = last - first
        if (count < 1).any() or first.min(initial=0) < 0 or last.max(initial=0) > len(self.pieces):
            raise IntegrityError("its offsets do not rise from 0", where=self.folder, cure=CURE)
        of = np.repeat(np.arange(len(rows)), count)
        pieces = self.pieces[np.repeat(first - np.cumsum(count) + count, count) + np.arange(len(of))]
        # As signed numbers: a start past 2^63 is negative here.
        shard, start, length = (pieces[name].astype(np.int64) for name in ("shard", "start", "length"))
        size = self.sizes[np.minimum(shard, len(self.sizes) - 1)]
        if (shard >= len(self.sizes)).any() or (start < 0).any() or (length < 1).any() or (start > size - length).any():
            raise IntegrityError("a piece lies outside its shard", where=self.folder, cure=CURE)
        ends = np.cumsum(length)
        whole = np.bincount(of, length, len(rows)).astype(np.int64)
        if (whole > self.header.context + 1).any():
            raise IntegrityError("a window is longer than its context", where=self.folder, cure=CURE)
        position = ends - length - (np.cumsum(whole) - whole)[of]
        length = np.minimum(length, self.header.context - position)
        names = np.array([path.rpartition("/")[0].rpartition("/")[0] for path in self.header.shards])
        found = []
        for name in sorted(set(names[shard[length > 0]].tolist())):
            here = np.flatnonzero((names[shard] == name) & (length > 0))
            place = self.bases[shard[here]] + start[here]
            found.append(self._cut(name, rows[of[here]], position[here], place, length[here], documents))
        return found

    def _cut(self, source: str, row: Ints, position: Ints, place: Ints, length: Ints, documents: Documents) -> Places:
        """Stretches of a stream, cut where documents end."""
        stop = place + length
        table = documents(source, int(place.min()), int(stop.max()))
        ends = table.starts + table.lengths
        first = np.searchsorted(table.starts, place, "right") - 1
        last = np.searchsorted(table.starts, stop - 1, "right") - 1
        if not len(ends) or (first < 0).any() or (ends[last] < stop).any():
            raise IntegrityError(f"no document of {source} lies there", where=self.folder, cure="Build the mix again")
        count = last - first + 1
        of = np.repeat(np.arange(len(row)), count)
        document = np.repeat(first - np.cumsum(count) + count, count) + np.arange(len(of))
        begin = np.maximum(place[of], table.starts[document])
        return Places(
            document=document,
            row=row[of],
            position=position[of] + begin - place[of],
            start=begin - table.starts[document],
            length=np.minimum(stop[of], ends[document]) - begin,
            table=table,
            source=source,
        )


def _mapped(path: Path, kind: np.dtype[Any], rows: int) -> npt.NDArray[Any]:
    size = path.stat().st_size if path.is_file() else 0
    if not rows or size != rows * kind.itemsize:
        raise IntegrityError(f"{size} bytes, not {rows * kind.itemsize}", where=path, cure=CURE)
    return np.memmap(path, kind, "r").view(np.ndarray)


def documents_of(path: Path, low: int, high: int, source: str | None = None) -> Table:
    """Documents that reach into [low, high), from a table sorted by start; of `source` where the table holds several.

    Only row groups that overlap are read.

    Raises: DataError: not such a table.
    """
    keys = [*(["source"] if source else []), "start"]
    try:
        with pq.ParquetFile(path) as file:
            # Not by the footer's figures: pyarrow 25 ends the process on some damaged ones.
            def first(group: int) -> tuple[Any, ...]:
                row = next(file.iter_batches(1, row_groups=[group], columns=keys)).to_pylist()[0]
                return tuple(row[key] for key in keys)

            named, groups = ((source,) if source else ()), range(file.num_row_groups)
            # The last group that begins at `low` or before holds the document that reaches in.
            begin = max(bisect_right(groups, (*named, low), key=first) - 1, 0)
            chosen = groups[begin : max(bisect_left(groups, (*named, high), key=first), begin)]
            table = file.read_row_groups(list(chosen), columns=["id", "length", *keys])
        if table.schema.field("start").type != pa.uint64() or table.schema.field("length").type != pa.uint32():
            raise TypeError("other columns")
    except (*DAMAGE, StopIteration, TypeError) as error:
        what = f"not a table of documents ({error.__class__.__name__})"
        raise DataError(what, where=path, cure="Build the shards again") from None
    if source:
        table = table.filter(pc.equal(table["source"], source))
    starts, lengths = _numbers(table["start"], np.dtype("<u8")), _numbers(table["length"], np.dtype("<u4"))
    return Table(ids=table["id"].combine_chunks(), starts=starts, lengths=lengths)


def _numbers(column: pa.ChunkedArray, kind: np.dtype[Any]) -> Ints:
    # From the buffers: `to_numpy` imports pandas, which takes longer than to answer.
    chunks = [
        np.frombuffer(chunk.buffers()[1], kind, len(chunk), chunk.offset * kind.itemsize) for chunk in column.chunks if len(chunk)
    ]
    return np.concatenate([np.empty(0, np.int64), *(chunk.astype(np.int64) for chunk in chunks)])

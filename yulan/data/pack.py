"""The pack index: row w names the (shard, start, length) pieces of window w. It copies no tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from yulan import files
from yulan.data.shard import Shards, map_tokens
from yulan.data.spans import Segments, Span
from yulan.errors import DataError, IntegrityError
from yulan.manifest import require_safe
from yulan.recipe.training import Packing
from yulan.schema import plain, read_json

HEADER, OFFSETS, PIECES = "pack.json", "offsets.bin", "pieces.bin"
PIECE = np.dtype([("shard", "<u4"), ("start", "<u8"), ("length", "<u4")])
"""16 bytes, packed."""
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """pack.json."""

    format: int
    context: int
    """T: trained-on tokens in a window of T + 1 ids."""
    windows: int
    tokens: int
    """The phase's budget: windows x context."""
    packing: Packing
    padding: int
    """Inputs that hold no id."""
    left_out: int
    """Ids of the spans that stand in no window: parts of documents that a span's edge divides, under `whole`."""
    dtype: Literal["uint16", "uint32"]
    eos_id: int
    vocab_size: int
    shards: tuple[str, ...]
    """Token files, relative to the shards' folder."""
    sources: Mapping[str, Span]
    """Every source that the path used so far."""


def write_pack(folder: Path, *, context: int, spans: Mapping[str, Span], segments: Segments, shards: Shards) -> Header:
    """Cut the phase's stream into windows: window w = stream[w T : w T + T + 1].

    Raises: DataError: the quotas do not sum to whole windows.
    """
    total = int(segments.length.sum())
    windows, rest = divmod(total, context)
    if rest or not windows:
        cure = "Give a budget of whole windows"
        raise DataError(f"{total} tokens are not whole windows of {context}", where=folder, cure=cure)
    ends = np.cumsum(segments.length)
    begins = ends - segments.length
    # Windows overlap by one id: the last target of one is the first input of the next.
    low = np.arange(windows, dtype=np.int64) * context
    high = np.minimum(low + context + 1, total)
    first = np.searchsorted(ends, low, "right")
    count = np.searchsorted(ends, high - 1, "right") - first + 1
    offsets = np.concatenate([[0], np.cumsum(count)])
    window = np.repeat(np.arange(windows), count)
    segment = first[window] + np.arange(offsets[-1]) - offsets[window]
    start = np.maximum(low[window], begins[segment])
    pieces = np.empty(len(window), PIECE)
    pieces["shard"] = segments.shard[segment]
    pieces["start"] = segments.start[segment] + start - begins[segment]
    pieces["length"] = np.minimum(high[window], ends[segment]) - start
    header = Header(
        format=2,
        context=context,
        windows=windows,
        tokens=total,
        packing="stream",
        padding=0,
        left_out=0,
        dtype=shards.dtype,
        eos_id=shards.eos_id,
        vocab_size=shards.vocab_size,
        shards=segments.paths,
        sources=spans,
    )
    save_pack(folder, header, offsets, pieces)
    return header


def save_pack(folder: Path, header: Header, offsets: Ints, pieces: npt.NDArray[np.void]) -> None:
    files.write_bytes(folder / OFFSETS, offsets.astype("<u8").tobytes())
    files.write_bytes(folder / PIECES, pieces.tobytes())
    files.write_json(folder / HEADER, plain(header))


def read_header(folder: Path) -> Header:
    """Raises: DataError: no pack.json, or it breaks its schema; IntegrityError: a path leaves the folder."""
    header = read_json(folder / HEADER, "pack", Header)
    require_safe(list(header.shards), folder / HEADER)
    return header


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """One row of a pack, read."""

    tokens: Ints
    """(T + 1,); eos after `length`."""
    starts: Ints
    """Positions in [0, T) where a document, a span or the padding begins; 0 is always one."""
    length: int
    """Real ids."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rows:
    """Several rows of a pack, read: R rows."""

    tokens: npt.NDArray[np.unsignedinteger]
    """(R, T + 1), as wide as in the shards; eos after `lengths`."""
    begins: Ints
    """Places in the flattened R x (T + 1) where a document, a span or the padding begins, rising; each row's first is one."""
    lengths: Ints
    """(R,) real ids."""

    @property
    def starts(self) -> npt.NDArray[np.bool_]:
        """(R, T + 1): `begins` as marks."""
        marks = np.zeros(self.tokens.size, np.bool_)
        marks[self.begins] = True
        return marks.reshape(self.tokens.shape)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pack:
    """A pack with its shards, mapped."""

    folder: Path
    header: Header
    offsets: npt.NDArray[np.uint64]
    pieces: npt.NDArray[np.void]
    tokens: tuple[npt.NDArray[np.unsignedinteger], ...]
    """Of each shard."""
    streams: Ints
    """Number of the stream that a shard is part of."""
    bases: Ints
    """Tokens of that stream before the shard."""

    @property
    def windows(self) -> int:
        return self.header.windows

    @property
    def context(self) -> int:
        return self.header.context

    @classmethod
    def open(cls, folder: Path, shards: Path) -> "Pack":
        """Map a pack and the token files it points into.

        Raises: DataError: pack.json is missing or wrong; IntegrityError: sizes or ranges do not fit each other.
        """
        header = read_header(folder)
        offsets = _table(folder / OFFSETS, np.dtype("<u8"), header.windows + 1)
        pieces = _table(folder / PIECES, PIECE, int(offsets[-1]))
        tokens = tuple(map_tokens(shards / path, header.dtype) for path in header.shards)
        sizes = np.array([len(each) for each in tokens], np.int64)
        _require_sound(folder, header, offsets, pieces, sizes)
        parents = [path.rpartition("/")[0] for path in header.shards]
        streams = np.array([parents.index(parent) for parent in parents], np.int64)
        before = np.cumsum(sizes) - sizes
        bases = before - before[streams]
        return cls(folder=folder, header=header, offsets=offsets, pieces=pieces, tokens=tokens, streams=streams, bases=bases)

    def window(self, row: int) -> Window:
        found = self.rows(np.array([row]))
        starts = np.flatnonzero(found.starts[0, : self.context])
        return Window(tokens=found.tokens[0].astype(np.int64), starts=starts, length=int(found.lengths[0]))

    def require_known(self, largest: int) -> None:
        """Raises: IntegrityError: an id that was read lies outside the vocabulary."""
        if largest >= self.header.vocab_size:
            what = f"a token id outside the vocabulary of {self.header.vocab_size}"
            raise IntegrityError(what, where=self.folder, cure="Restore the shards with: dvc checkout")

    def rows(self, rows: Ints) -> Rows:
        """Windows `rows`, in that order.

        Raises: IntegrityError: an id lies outside the vocabulary.
        """
        width = self.context + 1
        first = self.offsets[rows].astype(np.int64)
        count = self.offsets[rows + 1].astype(np.int64) - first
        of = np.repeat(np.arange(len(rows)), count)
        pieces = self.pieces[np.repeat(first - np.cumsum(count) + count, count) + np.arange(len(of))]
        shard, start, length = (pieces[name].astype(np.int64) for name in ("shard", "start", "length"))
        ends = np.cumsum(length)
        lengths = np.bincount(of, length, len(rows)).astype(np.int64)
        # Where each piece goes: windows lie `width` apart, pieces of one window follow each other.
        target = of * width + ends - length - (np.cumsum(lengths) - lengths)[of]
        tokens = np.empty(len(rows) * width, self.header.dtype)
        short = np.flatnonzero(lengths < width)
        padding = short * width + lengths[short]
        if len(short):
            tokens.reshape(len(rows), width)[short] = self.header.eos_id
        for s, a, n, t in zip(shard.tolist(), start.tolist(), length.tolist(), target.tolist(), strict=True):
            tokens[t : t + n] = self.tokens[s][a : a + n]
        self.require_known(int(tokens.max()))
        # A piece that goes on where the one before it ended, in the next file of the stream, begins nothing.
        place, stream = self.bases[shard] + start, self.streams[shard]
        goes_on = (of[1:] == of[:-1]) & (stream[1:] == stream[:-1]) & (place[1:] == place[:-1] + length[:-1])
        ended = np.flatnonzero(tokens[:-1] == self.header.eos_id) + 1
        begins = np.concatenate([target[:1], target[1:][~goes_on], ended, padding])
        begins.sort()
        begins = begins[np.append(True, begins[1:] != begins[:-1])]
        if len(short):
            # In the padding nothing begins but itself.
            begins = begins[begins % width <= lengths[begins // width]]
        return Rows(tokens=tokens.reshape(len(rows), width), begins=begins, lengths=lengths)


def _table(path: Path, kind: np.dtype[Any], rows: int) -> npt.NDArray[Any]:
    size = path.stat().st_size if path.is_file() else 0
    if not rows or size != rows * kind.itemsize:
        raise IntegrityError(f"{size} bytes, not {rows * kind.itemsize}", where=path, cure="Restore it with: dvc checkout")
    return np.memmap(path, kind, "r").view(np.ndarray)


def _require_sound(
    folder: Path, header: Header, offsets: npt.NDArray[np.uint64], pieces: npt.NDArray[np.void], sizes: Ints
) -> None:
    """Raises: IntegrityError: rows without pieces, pieces outside their shard, or windows too long."""

    def wrong(what: str) -> IntegrityError:
        return IntegrityError(what, where=folder, cure="Restore it with: dvc checkout, or build the mix again")

    steps = np.diff(offsets.astype(np.int64))
    if offsets[0] != 0 or (steps < 1).any():
        raise wrong("its offsets do not rise from 0")
    if (pieces["shard"] >= len(sizes)).any():
        raise wrong("a piece names a shard that is not listed")
    length = pieces["length"].astype(np.int64)
    if (length < 1).any() or (pieces["start"] > (sizes[pieces["shard"]] - length).clip(0).astype(np.uint64)).any():
        raise wrong("a piece lies outside its shard")
    if (np.add.reduceat(length, offsets[:-1].astype(np.int64)) > header.context + 1).any():
        raise wrong("a window is longer than its context")

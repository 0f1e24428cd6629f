"""Token shards: plain little-endian files of ids, and beside them which document lies where."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from yulan import files
from yulan.data.documents import is_held_out, read_documents, read_training, source_names
from yulan.data.quick import encode_all, quicken
from yulan.data.tokenizer import Codec
from yulan.errors import DataError, IntegrityError
from yulan.manifest import require_safe
from yulan.recipe import corpus
from yulan.schema import plain, read_json

INDEX = "shards.json"
DOCUMENTS = "documents.parquet"
COLUMNS = pa.schema([("id", pa.string()), ("start", pa.uint64()), ("length", pa.uint32())])
GROUP = 1 << 16
"""Rows in a row group of a table of documents."""
DAMAGE = (pa.ArrowException, OSError, ValueError, LookupError, MemoryError, OverflowError)
"""What pyarrow raises on damaged files: a footer's names, say, need not be UTF-8."""
SplitName = Literal["train", "held"]
SPLITS: tuple[SplitName, ...] = ("train", "held")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardFile:
    path: str
    """Relative to the folder of shards.json."""
    tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """One stream of tokens, over its files in order."""

    documents: int
    tokens: int
    """Ids, bos and eos counted."""
    bytes: int
    """UTF-8 bytes of the text; 0 for published token files, which have none."""
    files: tuple[ShardFile, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceShards:
    train: Split
    held: Split


@dataclass(frozen=True, kw_only=True, slots=True)
class Shards:
    """shards.json."""

    format: int
    dtype: Literal["uint16", "uint32"]
    """Of an id, little-endian."""
    vocab_size: int
    eos_id: int
    """The last id of each document, and of nothing else."""
    bos_id: int | None
    """The first id of each document, or null: documents begin with their text."""
    sources: Mapping[str, SourceShards]


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """What the ids of a recipe mean, as far as shards must know."""

    size: int
    eos_id: int
    bos_id: int | None
    """Null: documents do not begin with one."""

    @property
    def dtype(self) -> Literal["uint16", "uint32"]:
        return "uint16" if self.size <= 1 << 16 else "uint32"


def write_shards(text: Path, codec: Codec, settings: corpus.Shards, into: Path, *, wanted: Collection[str]) -> Shards:
    """Turn the documents below `text` into token files below `into`, with their index; `wanted` sources may not be empty.

    Raises: DataError: as `write_text`.
    """
    vocabulary = Vocabulary(size=codec.vocab_size, eos_id=codec.eos_id, bos_id=codec.bos_id)
    return write_index(into, vocabulary, write_text(text, codec, settings, into, wanted=wanted))


def write_index(into: Path, vocabulary: Vocabulary, sources: Mapping[str, SourceShards]) -> Shards:
    made = Shards(
        format=1,
        dtype=vocabulary.dtype,
        vocab_size=vocabulary.size,
        eos_id=vocabulary.eos_id,
        bos_id=vocabulary.bos_id,
        sources=sources,
    )
    files.write_json(into / INDEX, plain(made))
    return made


def write_text(
    text: Path, codec: Codec, settings: corpus.Shards, into: Path, *, wanted: Collection[str]
) -> dict[str, SourceShards]:
    """Turn the documents below `text` into token files below `into`; `wanted` sources may not be empty.

    Raises: DataError: a wanted source has no document to train on, or an id lies outside the vocabulary.
    """
    empty = sorted(name for name in wanted if next(read_training(text, name, settings.held_out), None) is None)
    if empty:
        raise DataError(
            f"no document of {empty[0]} is left to train on",
            where=text,
            cure="Loosen the filters, or take the source out of the mixes",
            evidence=[f"empty  {name}" for name in empty[1:]],
        )
    vocabulary = Vocabulary(size=codec.vocab_size, eos_id=codec.eos_id, bos_id=codec.bos_id)
    encoder, threads, sources = quicken(codec), len(os.sched_getaffinity(0)), {}
    for name in source_names(text):
        with open_splits(into, name, vocabulary, settings.tokens) as splits:
            for (ids, texts), tokens, lengths in encode_all(encoder, read_documents(text, name), threads):
                sizes = np.array([len(each) if each.isascii() else len(each.encode()) for each in texts])
                held = np.array([is_held_out(each, settings.held_out) for each in ids])
                for kind, writer in splits.items():
                    here = held == (kind == "held")
                    if here.any():
                        chosen = [each for each, mine in zip(ids, here.tolist(), strict=True) if mine]
                        writer.add(chosen, tokens[np.repeat(here, lengths)], lengths[here], int(sizes[here].sum()))
            sources[name] = SourceShards(train=splits["train"].close(), held=splits["held"].close())
    return sources


@contextmanager
def open_splits(into: Path, source: str, vocabulary: Vocabulary, capacity: int) -> Iterator[dict[SplitName, "Writer"]]:
    """Writers of a source's splits; their tables of documents get their names when the block ends well."""
    with ExitStack() as stack:
        made: dict[SplitName, Writer] = {}
        for kind in SPLITS:
            file = stack.enter_context(files.open_new(into / source / kind / DOCUMENTS))
            table = stack.enter_context(pq.ParquetWriter(file, COLUMNS, compression="zstd"))
            made[kind] = Writer(into, f"{source}/{kind}", vocabulary, capacity, table)
        yield made


class Writer:
    """Fills one split's files up to `capacity` ids each; in memory are at most so many, and GROUP rows of its table."""

    def __init__(self, into: Path, split: str, vocabulary: Vocabulary, capacity: int, table: pq.ParquetWriter) -> None:
        self.into, self.split, self.vocabulary, self.capacity, self.table = into, split, vocabulary, capacity, table
        self.dtype = np.dtype(vocabulary.dtype).newbyteorder("<")
        self.pending: list[npt.NDArray[np.int64]] = []
        self.waiting = self.tokens = self.bytes = self.documents = self.start = 0
        self.ids: pa.ChunkedArray = pa.chunked_array([], pa.string())
        self.lengths: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.files: list[ShardFile] = []

    def add(self, ids: list[str], tokens: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], size: int) -> None:
        """Documents, one after the other in `tokens`, bos and eos among them; `size`: UTF-8 bytes of their text.

        Raises: DataError: an id lies outside the vocabulary.
        """
        if int(tokens.max()) >= self.vocabulary.size:
            raise DataError(
                f"token id {int(tokens.max())} lies outside the vocabulary of {self.vocabulary.size}",
                where=self.split,
                cure="Build the tokenizer again from this recipe",
            )
        self.pending.append(tokens)
        self.waiting += len(tokens)
        self.tokens += len(tokens)
        self.bytes += size
        self.documents += len(ids)
        self.ids = pa.chunked_array([*self.ids.chunks, pa.array(ids, pa.string())], pa.string())
        self.lengths = np.concatenate([self.lengths, lengths])
        while len(self.lengths) > GROUP:
            self._list(GROUP)
        while self.waiting >= self.capacity:
            self._flush(self.capacity)

    def _list(self, count: int) -> None:
        """One row group of the table of documents."""
        lengths = self.lengths[:count]
        starts = self.start + np.cumsum(lengths) - lengths
        columns = [self.ids.slice(0, count), pa.array(starts, pa.uint64()), pa.array(lengths, pa.uint32())]
        self.table.write_table(pa.Table.from_arrays(columns, schema=COLUMNS))
        self.start += int(lengths.sum())
        self.ids, self.lengths = self.ids.slice(count), self.lengths[count:]

    def _flush(self, count: int) -> None:
        there = np.concatenate(self.pending)
        path = f"{self.split}/tokens-{len(self.files):05d}.bin"
        files.write_bytes(self.into / path, there[:count].astype(self.dtype).tobytes())
        self.files.append(ShardFile(path=path, tokens=count))
        self.pending, self.waiting = [there[count:]], len(there) - count

    def close(self) -> Split:
        if self.waiting:
            self._flush(self.waiting)
        self._list(len(self.lengths))
        return Split(documents=self.documents, tokens=self.tokens, bytes=self.bytes, files=tuple(self.files))


def read_shards(folder: Path) -> Shards:
    """Raises: DataError: no shards.json, or it breaks its schema; IntegrityError: a path leaves the folder."""
    made = read_json(folder / INDEX, "shards", Shards)
    splits = [split for source in made.sources.values() for split in (source.train, source.held)]
    require_safe([file.path for split in splits for file in split.files], folder / INDEX)
    control = max(made.eos_id, made.bos_id or 0)
    unlike = any(split.tokens != sum(file.tokens for file in split.files) for split in splits)
    if unlike or control >= made.vocab_size or (made.dtype == "uint16" and made.vocab_size > 1 << 16):
        raise IntegrityError("its numbers contradict each other", where=folder / INDEX, cure="Build the shards again")
    return made


def map_tokens(path: Path, dtype: str) -> npt.NDArray[np.unsignedinteger]:
    """Ids of one shard file, mapped, not read.

    Raises: IntegrityError: no such file, or its size is not a whole number of ids.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    size = path.stat().st_size if path.is_file() else 0
    if not size or size % kind.itemsize:
        what = f"{size} bytes are not whole ids" if size else "no ids"
        raise IntegrityError(what, where=path, cure="Restore it with: dvc checkout")
    # As a plain array: slices of a memmap cost several times more.
    return np.memmap(path, kind, "r").view(np.ndarray)


class Stream:
    """The tokens of one split as if they lay in one file."""

    def __init__(self, folder: Path, split: Split, dtype: str) -> None:
        self.folder, self.split, self.dtype = folder, split, dtype

    @cached_property
    def _files(self) -> list[npt.NDArray[np.unsignedinteger]]:
        return [map_tokens(self.folder / file.path, self.dtype) for file in self.split.files]

    def __len__(self) -> int:
        return self.split.tokens

    def read(self, start: int, length: int) -> npt.NDArray[np.int64]:
        """Ids [start, start + length), fewer at the end of the stream."""
        found, here = [np.empty(0, np.int64)], 0
        for tokens in self._files:
            found.append(tokens[max(start - here, 0) : max(start + length - here, 0)].astype(np.int64))
            here += len(tokens)
        return np.concatenate(found)


def document_starts(folder: Path, source: str, split: SplitName = "train") -> npt.NDArray[np.int64]:
    """Where each document of a split begins in its stream, rising.

    Raises: DataError: not such a table.
    """
    path = folder / source / split / DOCUMENTS
    try:
        table = pq.read_table(path, columns=["start", "length"], partitioning=None)
        starts, lengths = (table[name].to_numpy().astype(np.int64) for name in ("start", "length"))
        # From 0 on, without a hole.
        sound = table.num_columns == 2 and bool((np.append(starts, lengths.sum()) == np.append(0, np.cumsum(lengths))).all())
    except (*DAMAGE, TypeError) as error:
        what = f"not a table of documents ({error.__class__.__name__})"
        raise DataError(what, where=path, cure="Build the shards again") from None
    if not sound or (lengths < 1).any():
        raise DataError("its documents do not follow each other", where=path, cure="Build the shards again")
    return starts

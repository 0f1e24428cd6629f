"""Published token files: Parquet with a list of ids a row, a document a row, without text.

Their authors cut text into ids without special tokens and wrote at most about 10 M ids a file (YuLan-Mini's public
repository at commit 4719997, `pretrain/preprocess/tokenize`), so whoever reads them ends the documents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from yulan import digest
from yulan.data.documents import is_held_out
from yulan.data.shard import DAMAGE, SourceShards, SplitName, Vocabulary, Writer, open_splits
from yulan.errors import DataError
from yulan.recipe import corpus

Ints = npt.NDArray[np.int64]

ROWS, IDS = 4096, 1 << 20
"""Rows that are held at a time, and about how many ids: fewer rows where they are long."""
BYTES = 2
"""That an id takes in a file before it is compressed, about: an index into a dictionary of 99,000."""
LARGEST = 1 << 28
"""Ids of a file that is read at all; published ones have about 10 M."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Documents:
    """Some documents of a token file, in its order."""

    ids: list[str]
    """Of kind `tokens`: sha256 of a document's ids as uint32, little-endian, its end left out."""
    tokens: Ints
    """[bos] ids... eos of each, one after the other."""
    lengths: Ints
    """Ids of each."""
    rows: int
    """Rows that were read for them."""
    empty: int
    """Documents without an id, which are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What the files of one source held."""

    files: int
    rows: int
    empty: int
    documents: int
    """More than rows where an end stands inside one."""
    tokens: int


def read_token_file(path: Path, column: str, vocabulary: Vocabulary) -> Iterator[Documents]:
    """The documents of a token file, about IDS ids in memory at a time, but never less than one row.

    A row is a document; an eos inside one ends a document there, as it does for whoever trains on it, and one at its end is
    not doubled.

    Raises: DataError: not such a file, damaged, null, negative, or an id that lies outside the vocabulary.
    """
    first, count = 1, 0
    for batch in _batches(path, column):
        tokens, lengths = _sound(batch.column(0), first, vocabulary.size, path)
        count += len(tokens)
        if count > LARGEST:
            raise DataError(f"holds more than {LARGEST:,} ids", where=path, cure="Split it into smaller files")
        yield _documents(tokens, lengths, vocabulary)
        first += len(batch)


def _batches(path: Path, column: str) -> Iterator[pa.RecordBatch]:
    try:
        # Without buffer_size the column of a whole row group is read at once, and these files are one row group.
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True) as file:
            yield from file.iter_batches(_rows_at_a_time(file, column, path), columns=[column])
    except DAMAGE as error:
        what = f"not a whole Parquet file ({error.__class__.__name__})"
        raise DataError(what, where=path, cure="Fetch it again: yulan data fetch") from None


def write_token_files(
    sources: Mapping[str, tuple[str, Sequence[Path]]],
    vocabulary: Vocabulary,
    settings: corpus.Shards,
    into: Path,
    removed: frozenset[str] = frozenset(),
) -> tuple[dict[str, SourceShards], dict[str, Tally]]:
    """Turn each source's (column, token files) into shards below `into`, in the order of the files and of their rows; those of
    `removed` are left out.

    Raises: DataError: as `read_token_file`, or a source without a document to train on.
    """
    made, tallies = {}, {}
    for name, (column, paths) in sorted(sources.items()):
        rows = empty = 0
        with open_splits(into, name, vocabulary, settings.tokens) as splits:
            for path in paths:
                for found in read_token_file(path, column, vocabulary):
                    rows, empty = rows + found.rows, empty + found.empty
                    _spread(found, splits, settings.held_out, removed)
            made[name] = SourceShards(train=splits["train"].close(), held=splits["held"].close())
        parts = (made[name].train, made[name].held)
        if not made[name].train.documents:
            raise DataError(
                f"the token files of {name} hold no document to train on",
                where=f"sources.yaml: $.sources.{name}",
                cure="Take the source out of the mixes, or lower $.data.shards.held_out",
            )
        tallies[name] = Tally(
            files=len(paths),
            rows=rows,
            empty=empty,
            documents=sum(part.documents for part in parts),
            tokens=sum(part.tokens for part in parts),
        )
    return made, tallies


def _spread(found: Documents, splits: Mapping[SplitName, Writer], per_mille: int, removed: frozenset[str]) -> None:
    held = np.array([is_held_out(each, per_mille) for each in found.ids], bool)
    there = np.array([each not in removed for each in found.ids], bool)
    for kind, writer in splits.items():
        here = there & (held == (kind == "held"))
        if here.any():
            ids = [each for each, chosen in zip(found.ids, here.tolist(), strict=True) if chosen]
            writer.add(ids, found.tokens[np.repeat(here, found.lengths)], found.lengths[here], 0)


def _rows_at_a_time(file: pq.ParquetFile, column: str, path: Path) -> int:
    """Raises: DataError: no such column, or not lists of whole numbers."""
    schema, metadata = file.schema_arrow, file.metadata
    if column not in schema.names:
        known = ", ".join(schema.names) or "none"
        raise DataError(f"no column {column!r} of token ids", where=path, cure=f"Name another in sources.yaml: {known}")
    kind = schema.field(column).type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not (lists and pa.types.is_integer(kind.value_type)):
        raise DataError(
            f"the column {column!r} is of type {kind}, not lists of whole numbers",
            where=path,
            cure="Name another in sources.yaml, or leave the file out",
        )
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return max(1, min(ROWS, metadata.num_rows * IDS * BYTES // max(1, size)))


def _sound(column: pa.Array, first: int, size: int, path: Path) -> tuple[Ints, Ints]:
    """Ids and lengths of rows, of which the first is row `first` of the file.

    Raises: DataError: null, negative, or outside the vocabulary.
    """
    lengths = np.asarray(pc.list_value_length(column).fill_null(0), np.int64)
    ends = np.cumsum(lengths)

    def wrong(what: str, row: int) -> DataError:
        return DataError(f"row {first + row:,} {what}", where=path, cure="Fetch it again, or leave it out of the list")

    if column.null_count:
        raise wrong("has null in the place of its ids", int(np.flatnonzero(column.is_null())[0]))
    flat = column.flatten()
    if flat.null_count:
        raise wrong("holds null among its ids", int(np.searchsorted(ends, np.flatnonzero(flat.is_null())[0], "right")))
    found = flat.to_numpy(zero_copy_only=False)
    for outside, what in ((found < 0, "the negative id"), (found >= size, "an id outside the vocabulary,")):
        if outside.any():
            place = int(np.flatnonzero(outside)[0])
            raise wrong(f"holds {what} {int(found[place]):,} of {size:,}", int(np.searchsorted(ends, place, "right")))
    return found.astype(np.int64), lengths


def _documents(tokens: Ints, lengths: Ints, vocabulary: Vocabulary) -> Documents:
    """Rows as documents, each with its ends."""
    eos, ends = vocabulary.eos_id, np.cumsum(lengths)
    full = lengths > 0
    open_ = full.copy()
    open_[full] = tokens[ends[full] - 1] != eos
    tokens = np.insert(tokens, ends[open_], eos)
    stops = np.flatnonzero(tokens == eos) + 1
    parts = np.diff(stops, prepend=0)
    # Two ends in a row have nothing between them.
    keep = parts > 1
    empty = int((~full).sum() + (~keep).sum())
    tokens, parts = tokens[np.repeat(keep, parts)], parts[keep]
    starts = np.cumsum(parts) - parts
    raw = memoryview(tokens.astype("<u4").tobytes())
    bounds = zip((4 * starts).tolist(), (4 * (starts + parts - 1)).tolist(), strict=True)
    ids = [digest.of_bytes(raw[start:stop]) for start, stop in bounds]
    if vocabulary.bos_id is not None:
        bare = tokens[starts] != vocabulary.bos_id
        tokens = np.insert(tokens, starts[bare], vocabulary.bos_id)
        parts = parts + bare
    return Documents(ids=ids, tokens=tokens, lengths=parts, rows=len(lengths), empty=empty)

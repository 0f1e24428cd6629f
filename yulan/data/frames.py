"""Tables of documents: the one file that imports daft, and the one that spells how text lies in Parquet.

A source's documents are `<folder>/<source>/00000.parquet`, `00001.parquet`, …, sorted by id. Equal tables give
equal bytes: rows are sorted, parts and row groups have fixed sizes, and names are ours (Daft's own writer
names files by UUID and keeps no order).
"""

import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from yulan import files
from yulan.data import cluster
from yulan.data.documents import PART, source_names
from yulan.errors import DataError, YulanError, from_json
from yulan.profile import Data

DOCUMENTS = pa.schema([("id", pa.string()), ("text", pa.string()), ("source", pa.string())])
PART_BYTES = 64 << 20
"""Text in one part, at most, and so what a stage holds at a time; a longer document has a part of its own."""
GROUP_ROWS = 4096
BATCH_ROWS = 1024
"""Documents a function sees at once: large batches keep every intermediate of theirs alive."""

_CHOICE = threading.Lock()


def _daft() -> Any:
    # Threads ask for it, and `cache` lets two of them in at once.
    with _CHOICE:
        return _chosen()


@cache
def _chosen() -> Any:
    """Import on use (it takes 0.3 s), without its telemetry and its progress bar; a process can set its runner once."""
    os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    import daft

    if cluster.is_connected():
        daft.set_runner_ray(noop_if_initialized=True)
    else:
        daft.set_runner_native()
    return daft


@contextmanager
def running(settings: Data, scratch: Path, code: Path) -> Iterator[None]:
    """Run this process's plans as the profile says: in it, or on a Ray cluster (yulan/data/cluster.py).

    Raises: StateError: Ray is not installed, or no cluster answers.
    """
    if settings.runner == "native":
        yield
        return
    with cluster.connected(settings.address, scratch, code):
        daft = _daft()
        # Daft starts its own actor with the first plan; two plans that begin together would each start one, and one of them dies.
        daft.from_pydict({"row": [0]}).select(daft.col("row") + 1).collect()
        yield


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """With what files elsewhere are asked for."""

    token: str | None
    """Of the Hub."""
    endpoint: str | None
    """Of a store that speaks S3; null: Amazon's."""
    anonymous: bool
    """The store is asked without keys."""


@contextmanager
def open_remote(address: str, access: Access) -> Iterator[Any]:
    """A file at `s3://…` or `https://…`, to be read from its start.

    Raises: what `unreachable` names.
    """
    daft = _daft()
    config = daft.io.IOConfig(
        http=daft.io.HTTPConfig(bearer_token=access.token, num_tries=3),
        s3=daft.io.S3Config(
            endpoint_url=access.endpoint,
            anonymous=access.anonymous,
            num_tries=3,
            use_ssl=not (access.endpoint or "").startswith("http://"),
        ),
    )
    with daft.File(address, io_config=config).open(buffer_size=1 << 20) as file:
        yield file


def unreachable() -> tuple[type[Exception], type[Exception]]:
    """What reading a remote file may end in."""
    return OSError, _daft().exceptions.DaftCoreException


def parts(folder: Path, source: str) -> list[Path]:
    """A source's Parquet files, in order; none if it has no documents."""
    return sorted(path for path in (folder / source).glob("*.parquet") if PART.fullmatch(path.name))


def every_part(folder: Path) -> list[tuple[str, Path]]:
    """(source, file) of every part below a stage's data folder, in order."""
    return [(name, path) for name in source_names(folder) for path in parts(folder, name)]


def write_part(path: Path, table: pa.Table) -> None:
    """Write rows as they are, in row groups of a fixed size."""
    with files.open_new(path) as file:
        pq.write_table(table.combine_chunks(), file, row_group_size=GROUP_ROWS, compression="zstd", compression_level=3)


def write_stream(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """The same file from rows that come table by table; no more than a table and a row group are held."""
    with files.open_new(path) as file, pq.ParquetWriter(file, schema, compression="zstd", compression_level=3) as writer:
        held, groups = schema.empty_table(), 0
        for table in tables:
            held = pa.concat_tables([held, table]).combine_chunks()
            whole = len(held) // GROUP_ROWS * GROUP_ROWS
            if whole:
                writer.write_table(held.slice(0, whole), row_group_size=GROUP_ROWS)
                # A slice alone would keep all of its table.
                held = held.take(pa.array(range(whole, len(held)), pa.int64()))
                groups += whole // GROUP_ROWS
        if len(held) or not groups:
            writer.write_table(held, row_group_size=GROUP_ROWS)


def write(folder: Path, source: str, table: pa.Table, first: int = 0) -> int:
    """Write a source's documents, sorted by id, in parts of at most PART_BYTES.

    Parts are numbered from `first`. Returns: the number after the last one.
    """
    ordered = table.sort_by([("id", "ascending"), ("text", "ascending")])
    return write_sorted(folder / source, ordered, PART_BYTES, first)


def write_sorted(folder: Path, table: pa.Table, part_bytes: int, first: int = 0) -> int:
    """The same for rows that are in order, into a source's own folder."""
    table = table.cast(DOCUMENTS)
    for start, stop in _cuts(table["text"], part_bytes):
        write_part(folder / f"{first:05}.parquet", table.slice(start, stop - start))
        first += 1
    return first


def link(path: Path, target: Path) -> None:
    """Give a finished part its name in a stage's output."""
    files.remove(target)
    files.link(path, target)


def _cuts(texts: pa.ChunkedArray, part_bytes: int) -> Iterator[tuple[int, int]]:
    """First row and end of each part."""
    start = size = 0
    for row, length in enumerate(pc.binary_length(texts).to_pylist()):
        if size and size + length > part_bytes:
            yield start, row
            start, size = row, 0
        size += length
    yield start, len(texts)


def table(path: Path) -> pa.Table:
    """A Parquet file that `write_part` wrote, whole."""
    return pq.read_table(path, partitioning=None)


def read(paths: Sequence[Path]) -> pa.Table:
    """Documents of Parquet files, rows in file order.

    Raises: DataError: a file is not Parquet or lacks a column.
    """
    columns = DOCUMENTS.names
    try:
        return pa.concat_tables(pq.read_table(path, columns=columns, partitioning=None).select(columns) for path in paths)
    except (pa.ArrowException, KeyError, OSError) as error:
        raise _unreadable(paths, error) from None


def _unreadable(paths: Sequence[Path], error: Exception) -> DataError:
    where = paths[0].parent if paths else None
    return DataError("not readable as Parquet documents", where=where, cure="Build the stage before again", evidence=[str(error)])


def each(paths: Sequence[Path], function: Callable[[list[str]], Mapping[str, list[Any]]], returns: pa.Schema) -> pa.Table:
    """Run `function` over the texts of Parquet files in one Daft plan.

    `function` maps a batch of texts to columns of the same length, named and typed as `returns`.
    Returns: id, text and source with those columns, sorted by id.
    Raises: DataError: a file is not Parquet.
    """
    daft = _daft()
    fields = {field.name: daft.DataType.from_arrow_type(field.type) for field in returns}

    @daft.func.batch(return_dtype=daft.DataType.struct(fields), unnest=True, use_process=False)
    def judged(series: Any) -> pa.StructArray:
        texts = series.to_pylist()
        made = [function(texts[start : start + BATCH_ROWS]) for start in range(0, len(texts), BATCH_ROWS)]
        columns = [pa.array([value for batch in made for value in batch[field.name]], field.type) for field in returns]
        return pa.StructArray.from_arrays(columns, fields=list(returns))

    try:
        # Daft takes a name for a pattern: a clone may lie in a folder called `x [1]`.
        frame = daft.read_parquet([re.sub(r"([*?\[\]{}\\])", r"\\\1", str(path)) for path in paths])
    except daft.exceptions.DaftCoreException as error:
        raise _unreadable(paths, error) from None
    table = frame.select(*DOCUMENTS.names, judged(daft.col("text"))).sort(["id", "text"]).to_arrow()
    return table.cast(pa.unify_schemas([DOCUMENTS, returns]))


def call(function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run `function` in a Daft plan of one row, wherever the runner runs it, and hand on what it returns, which is JSON.

    Raises: the YulanError that `function` raises.
    """
    daft = _daft()

    @daft.func(return_dtype=daft.DataType.string(), use_process=False)
    def answer(_: int) -> str:
        try:
            return json.dumps({"value": function()})
        except YulanError as error:
            return json.dumps({"error": error.as_json()})

    (told,) = daft.from_pydict({"row": [0]}).select(answer(daft.col("row")).alias("told")).to_pydict()["told"]
    found = json.loads(told)
    if "error" in found:
        raise from_json(found["error"])
    value: dict[str, Any] = found["value"]
    return value


def signatures(texts: pa.Array, hashes: int, shingle: int, seed: int) -> npt.NDArray[np.uint32]:
    """MinHash of each text over shingles of `shingle` words between spaces; uint32 (texts, hashes).

    A text without words has every value at 2^32 - 1: mask it, or all such texts look alike.
    """
    daft = _daft()
    from daft.functions import minhash

    frame = daft.from_arrow(pa.table({"row": pa.array(range(len(texts)), pa.int64()), "text": texts}))
    made = (
        frame.select("row", minhash(daft.col("text"), num_hashes=hashes, ngram_size=shingle, seed=seed).alias("values"))
        .sort("row")
        .to_arrow()
    )
    flat = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in made["values"].chunks]
    return np.concatenate([np.empty(0, np.uint32), *flat]).astype(np.uint32).reshape(len(texts), hashes)

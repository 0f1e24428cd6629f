"""Texts out of one file, a bounded part of it in memory. What cannot be a document is a Reject with its line or row."""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from yulan.data.readers.lines import bounded, json_object
from yulan.data.readers.reject import LONGEST, Reject
from yulan.errors import DataError

ROWS = 256
"""Rows of a table that are held at a time."""
BOM = b"\xef\xbb\xbf"


def read(path: Path, name: str, column: str) -> Iterator[str | Reject]:
    """The texts of a file, in its order; `where` of a Reject is `name:17`, lines and rows counted from 1.

    Raises: DataError: damaged, cut short, or a table without such a column of text.
    """
    rows = _table(path, column) if path.name.endswith((".parquet", ".arrow")) else _lines(path, name, column)
    try:
        for number, value in rows:
            yield _text(value, f"{name}:{number}")
    # Not ValueError: pyarrow's ArrowInvalid is one, and so is much else.
    except (pa.ArrowException, OSError, EOFError, zlib.error) as error:
        what = f"cannot be read to its end ({error.__class__.__name__})"
        raise DataError(what, where=path, cure="Give a whole file of the kind that its name says") from None


def _text(value: object, where: str) -> str | Reject:
    if isinstance(value, Reject):
        return value
    if value is None:
        return Reject(where=where, reason="null")
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return Reject(where=where, reason="utf-8")
    if not isinstance(value, str):
        return Reject(where=where, reason="not-text")
    if not value.strip():
        return Reject(where=where, reason="empty")
    return value if len(value) <= LONGEST else Reject(where=where, reason="huge")


def _lines(path: Path, name: str, column: str) -> Iterator[tuple[int, object]]:
    with _opened(path) as file:
        for number, line in enumerate(bounded(file), 1):
            if line is not None and number == 1:
                line = line.removeprefix(BOM)
            if line is not None and not line.strip():
                continue
            where = f"{name}:{number}"
            row = json_object(line, where)
            if isinstance(row, Reject):
                yield number, row
            else:
                yield number, row[column] if column in row else Reject(where=where, reason="no-column")


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile | io.BufferedReader:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rb")
    if path.name.endswith(".zst"):
        stream: Any = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return io.BufferedReader(stream, 1 << 20)
    return path.open("rb")


def _table(path: Path, column: str) -> Iterator[tuple[int, object]]:
    """Values as bytes: one that is not UTF-8 must not end the file."""
    number = 0
    for batch in _batches(path, column):
        for value in batch.column(column).cast(pa.large_binary()).to_pylist():
            number += 1
            yield number, value


def _batches(path: Path, column: str) -> Iterator[pa.RecordBatch]:
    if path.suffix == ".parquet":
        # Without buffer_size the compressed column of a whole row group is read at once, and some files are one row group.
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            _require_text(file.schema_arrow, column, path)
            yield from file.iter_batches(ROWS, columns=[column])
        return
    # What `datasets` saves: an Arrow stream.
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
        _require_text(stream.schema, column, path)
        for batch in stream:
            yield from (batch.select([column]).slice(start, ROWS) for start in range(0, len(batch), ROWS))


def _require_text(schema: pa.Schema, column: str, path: Path) -> None:
    kinds = {field.name: field.type for field in schema}
    if column not in kinds:
        known = ", ".join(kinds) or "none"
        raise DataError(f"no column named {column!r}", where=path, cure=f"Name it with --text-column: {known}")
    kind = kinds[column]
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(
            f"the column {column!r} is of type {kind}, not text", where=path, cure="Choose another with --text-column"
        )

"""Texts out of files of rows, a bounded part of one in memory. What cannot be a document is a Reject with its line or row."""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from yulan.data.readers.lines import bounded, json_object, opened
from yulan.data.readers.reject import LONGEST, Reject
from yulan.errors import DataError
from yulan.schema import Scalar

ROWS = 256
"""Rows of a table that are held at a time."""
BOM = b"\xef\xbb\xbf"
TABLES = (".parquet", ".arrow")
LINES = tuple(f"{kind}{packed}" for kind in (".jsonl", ".json") for packed in ("", ".gz", ".zst"))
_ESCAPED = re.compile(rb"\\u00[2-7]")
"""How the name of a column may be spelled another way."""


def read_rows(paths: list[Path], options: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """The texts in the column `column` of JSON lines, Parquet files and Arrow streams: what `datasets` writes and reads.

    Raises: DataError: another kind of file; damaged, cut short, or a table without such a column of text.
    """
    for path in paths:
        if not path.name.endswith((*LINES, *TABLES)):
            known = ", ".join((*LINES, *TABLES))
            raise DataError("no file of rows by its name", where=path, cure=f"Name in the source's paths what ends in {known}")
        yield from read(path, path.name, str(options["column"]), asked="options.column in sources.yaml")


def read(path: Path, name: str, column: str, asked: str = "--text-column") -> Iterator[str | Reject]:
    """The texts of a file, in its order; `where` of a Reject is `name:17`, lines and rows counted from 1.

    `asked` is where the user named the column.

    Raises: DataError: damaged, cut short, or a table without such a column of text.
    """
    rows = _table(path, column, asked) if path.name.endswith(TABLES) else _lines(path, name, column)
    try:
        for number, value in rows:
            yield _text(value, f"{name}:{number}")
    # Not ValueError: pyarrow's ArrowInvalid is one, and so is much else.
    # UnicodeDecodeError: names of columns that are no text.
    except (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
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
    quoted = json.dumps(column, ensure_ascii=False).encode()
    with opened(path) as file:
        for number, line in enumerate(bounded(file), 1):
            if line is not None and number == 1:
                line = line.removeprefix(BOM)
            if line is not None and not line.strip():
                continue
            where = f"{name}:{number}"
            row = json_object(line, where)
            if isinstance(row, Reject):
                yield number, row
            elif column not in row:
                yield number, Reject(where=where, reason="no-column")
            elif line is not None and _may_repeat(line, quoted) and _repeats(line, column):
                yield number, Reject(where=where, reason="repeated-key")
            else:
                yield number, row[column]


def _may_repeat(line: bytes, quoted: bytes) -> bool:
    return line.count(quoted) > 1 or (b"\\u" in line and (not quoted.isascii() or bool(_ESCAPED.search(line))))


def _repeats(line: bytes, column: str) -> bool:
    """Whether an object names the column twice: JSON does not say which one counts, and readers differ."""
    names: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        # The outermost object is the last to be closed.
        names[:] = [name for name, _ in pairs]

    try:
        json.loads(line, object_pairs_hook=note)
    except (ValueError, RecursionError):
        return False
    return names.count(column) > 1


def _table(path: Path, column: str, asked: str) -> Iterator[tuple[int, object]]:
    """Values as bytes: one that is not UTF-8 must not end the file."""
    number = 0
    for batch in _batches(path, column, asked):
        for value in _bytes(batch.column(column)).to_pylist():
            number += 1
            yield number, value


def _bytes(texts: pa.Array) -> pa.Array:
    """The same as bytes, found sound: offsets of a damaged stream would be followed out of memory.

    Raises: ArrowInvalid: they lead elsewhere.
    """
    kind = pa.binary() if pa.types.is_string(texts.type) else pa.large_binary()
    found = pa.Array.from_buffers(kind, len(texts), texts.buffers(), -1, texts.offset)
    found.validate(full=True)
    return found


def _batches(path: Path, column: str, asked: str) -> Iterator[pa.RecordBatch]:
    if path.suffix == ".parquet":
        # Without buffer_size the compressed column of a whole row group is read at once, and some files are one row group.
        with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            _require_text(file.schema_arrow, column, path, asked)
            yield from file.iter_batches(ROWS, columns=[column])
        return
    # What `datasets` saves: an Arrow stream.
    with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
        _require_text(stream.schema, column, path, asked)
        for batch in stream:
            yield from (batch.select([column]).slice(start, ROWS) for start in range(0, len(batch), ROWS))


def _require_text(schema: pa.Schema, column: str, path: Path, asked: str) -> None:
    kinds = {field.name: field.type for field in schema}
    if column not in kinds:
        known = ", ".join(kinds) or "none"
        raise DataError(f"no column named {column!r}", where=path, cure=f"Name it with {asked}: {known}")
    kind = kinds[column]
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f"the column {column!r} is of type {kind}, not text", where=path, cure=f"Choose another with {asked}")

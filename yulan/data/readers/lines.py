"""Lines of strangers' files, one at a time, each at most so long."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa

from yulan.data.readers.reject import Reject
from yulan.errors import DataError

LONGEST = 32 << 20
"""Bytes of the longest line that is read into memory."""
SKIPPED = 1 << 20
"""Of a longer one at a time."""


def read_json_lines(path: Path) -> Iterator[dict[str, Any] | Reject]:
    """JSON objects of a .jsonl.gz file; a line that holds none is a Reject.

    Raises: DataError: not gzip, or cut short.
    """
    try:
        with gzip.open(path, "rb") as file:
            for number, line in enumerate(bounded(file), 1):
                yield json_object(line, f"{path.name}:{number}")
    except (OSError, EOFError, zlib.error) as error:
        raise _broken(path, error) from None


def json_object(line: bytes | None, where: str) -> dict[str, Any] | Reject:
    """A line as `bounded` gives it, as a JSON object."""
    if line is None:
        return Reject(where=where, reason="long-line")
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Reject(where=where, reason="json")
    return row if isinstance(row, dict) else Reject(where=where, reason="no-object")


def read_zipped_lines(path: Path) -> Iterator[str | Reject]:
    """Lines of the only file in a zip archive, without their ends.

    Raises: DataError: not a zip archive of one file, or a broken one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            with archive.open(name) as file:
                for number, line in enumerate(bounded(file), 1):
                    try:
                        yield (
                            line.decode("utf-8-sig").rstrip("\r\n")
                            if line is not None
                            else Reject(where=f"{name}:{number}", reason="long-line")
                        )
                    except UnicodeDecodeError:
                        yield Reject(where=f"{name}:{number}", reason="utf-8")
    except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise _broken(path, error) from None


def opened(path: Path) -> IO[bytes] | gzip.GzipFile | io.BufferedReader:
    """A file that may be compressed, as its name says. Bytes come a block at a time, however much they unpack to."""
    if path.name.endswith(".gz"):
        return gzip.open(path, "rb")
    if path.name.endswith(".zst"):
        stream: Any = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return io.BufferedReader(stream, 1 << 20)
    # A long line is skipped ten times as fast.
    return path.open("rb", buffering=1 << 20)


def bounded(file: IO[bytes] | gzip.GzipFile | io.BufferedReader) -> Iterator[bytes | None]:
    """Lines; None for one longer than LONGEST, which is skipped without being held."""
    while line := file.readline(LONGEST + 1):
        if len(line) <= LONGEST:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(SKIPPED)
        yield None


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"not a whole archive ({error.__class__.__name__})", where=path, cure="Build the stage `sources` again")

"""Pages of WARC files: the text of each HTML or plain answer, and of each extracted text (`conversion`)."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

from yulan.data.readers.html import text_of
from yulan.data.readers.reject import LONGEST, Reject
from yulan.errors import DataError
from yulan.schema import Scalar

HEADER = 1 << 20
"""Bytes of the longest head of a record."""
BLOCK = 1 << 16
HTML = ("text/html", "application/xhtml+xml")


class _Damaged(Exception):
    pass


def read_warc(paths: list[Path], _: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """A document for each answer of status 200 that is text. Records of another kind than answers are passed over.

    Raises: DataError: not WARC, or cut short.
    """
    from warcio.archiveiterator import ArchiveIterator

    for path in paths:
        try:
            with path.open("rb") as file:
                records = ArchiveIterator(file)
                heads = _Heads(records.reader)
                number = 0
                while (record := _guarded(partial(next, records, None))) is not None:
                    number += 1
                    heads.begin()
                    found = _document(record, f"{path.name}:{number}")
                    _drain(record)
                    if found is not None:
                        yield found
                    heads.begin()
                if records.err_count or not heads.whole:
                    raise _Damaged("cut short")
        except (_Damaged, OSError) as error:
            raise DataError(
                f"not a whole WARC file ({error})", where=path, cure="Give the whole file, or leave it out of the source's paths"
            ) from None


def _guarded(step: Callable[[], Any]) -> Any:
    """Let warcio take a step: on damaged files it ends in any error, and writes to stderr."""
    try:
        with redirect_stderr(io.StringIO()):
            return step()
    except OSError:
        raise
    except Exception as error:
        raise _Damaged(error.__class__.__name__) from None


class _Heads:
    """Watches the heads of records, which warcio reads to their end however far that is, and drops where the file ends in one."""

    def __init__(self, reader: Any) -> None:
        self.left, self.begun, self.whole = HEADER, False, True
        self._reader, self._readline, self._close = reader, reader.readline, reader.close_decompressor
        reader.readline, reader.close_decompressor = self._bounded, self._closing

    def begin(self) -> None:
        self.left, self.begun = HEADER, False

    def _bounded(self, length: int | None = None) -> bytes:
        line: bytes = self._readline(min(length or self.left, self.left))
        self.left -= len(line)
        self.begun |= bool(line.strip())
        if self.left <= 0:
            raise _Damaged("a head without end")
        return line

    def _closing(self) -> None:
        packed = self._reader.decompressor
        self.whole &= not self.begun and (packed is None or packed.eof)
        self._close()


def _drain(record: Any) -> None:
    """Read what is left of a record. Raises: _Damaged: it ends before its length."""
    while _guarded(lambda: record.raw_stream.read(BLOCK)):
        pass
    if getattr(record.raw_stream, "limit", 0) > 0:
        raise _Damaged("cut short")


def _document(record: Any, where: str) -> str | Reject | None:
    if record.rec_type == "conversion":
        return _plain(_body(record), "utf-8", where)
    if record.rec_type != "response" or record.http_headers is None:
        return None
    if record.http_headers.get_statuscode() != "200":
        return Reject(where=where, reason="status")
    kind, _, rest = (record.http_headers.get_header("Content-Type") or "").partition(";")
    kind, charset = kind.strip().lower(), _charset(rest)
    if kind != "text/plain" and kind not in HTML:
        return Reject(where=where, reason="not-text")
    body = _body(record)
    if kind == "text/plain":
        return _plain(body, charset or "utf-8", where)
    if len(body) > 4 * LONGEST:
        return Reject(where=where, reason="huge")
    return text_of(body, charset) or Reject(where=where, reason="empty")


def _body(record: Any) -> bytes:
    """What was transferred, unpacked; a byte more than the longest that is taken shows that it is longer."""
    body: bytes = _guarded(lambda: record.content_stream().read(4 * LONGEST + 1))
    return body


def _plain(body: bytes, charset: str, where: str) -> str | Reject:
    if len(body) > 4 * LONGEST:
        return Reject(where=where, reason="huge")
    try:
        text = body.decode(charset).strip()
    except UnicodeDecodeError:
        return Reject(where=where, reason="utf-8" if charset == "utf-8" else "encoding")
    return text or Reject(where=where, reason="empty")


def _charset(parameters: str) -> str | None:
    """The named encoding, if Python and libxml2 know it."""
    from lxml import etree

    for part in parameters.split(";"):
        name, _, value = part.partition("=")
        value = value.strip().strip("\"'")
        if name.strip().lower() == "charset" and value:
            try:
                b"".decode(value)
                etree.HTMLParser(encoding=value)
            except (LookupError, ValueError):
                return None
            return value
    return None

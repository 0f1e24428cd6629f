"""Whole files as documents, lines of text, and a JSON file of articles."""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from yulan.data.readers.lines import LONGEST as LONGEST_LINE
from yulan.data.readers.lines import bounded, opened
from yulan.data.readers.reject import Reject
from yulan.errors import DataError
from yulan.schema import Scalar, load_json


def read_code(paths: list[Path], _: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """Each file is a document."""
    for path in paths:
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            yield Reject(where=path.name, reason="utf-8")
        else:
            yield text if "\0" not in text else Reject(where=path.name, reason="binary")


def read_text(paths: list[Path], options: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """Plain text, which may be .gz or .zst: a document is a whole file, or each line of it (option `per`); blank ones are none.

    Raises: DataError: a compressed file is damaged or cut short.
    """
    for path in paths:
        try:
            with opened(path) as file:
                pieces = bounded(file) if options["per"] == "line" else iter([_whole(file)])
                for number, piece in enumerate(pieces, 1):
                    where = f"{path.name}:{number}" if options["per"] == "line" else path.name
                    if piece is None or piece.strip():
                        yield _decoded(piece, where)
        except (OSError, EOFError, zlib.error) as error:
            what = f"cannot be unpacked to its end ({error.__class__.__name__})"
            raise DataError(what, where=path, cure="Give a whole file of the kind that its name says") from None


def _whole(file: Any) -> bytes | None:
    """A file's bytes; None where they are too many."""
    data: bytes = file.read(LONGEST_LINE + 1)
    return data if len(data) <= LONGEST_LINE else None


def _decoded(piece: bytes | None, where: str) -> str | Reject:
    if piece is None:
        return Reject(where=where, reason="long-line")
    try:
        text = piece.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        return Reject(where=where, reason="utf-8")
    return text if "\0" not in text else Reject(where=where, reason="binary")


def read_summaries(paths: list[Path], _: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """A JSON object of articles {title, extract}: the title, an empty line, the extract.

    Raises: DataError: not such a JSON object.
    """
    for path in paths:
        articles = load_json(path, texts=True)
        if not isinstance(articles, dict):
            raise DataError("not an object of articles", where=path, cure="Choose the reader that fits the file")
        for key, article in articles.items():
            title, extract = (article.get(part) if isinstance(article, dict) else None for part in ("title", "extract"))
            if isinstance(title, str) and isinstance(extract, str):
                yield f"{title}\n\n{extract}"
            else:
                yield Reject(where=f"{path.name}: {key}", reason="null")

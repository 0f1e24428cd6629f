"""Whole files as documents, and a JSON file of articles."""

from collections.abc import Iterator, Mapping
from pathlib import Path

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


def read_summaries(paths: list[Path], _: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """A JSON object of articles {title, extract}: the title, an empty line, the extract.

    Raises: DataError: not such a JSON object.
    """
    for path in paths:
        articles = load_json(path)
        if not isinstance(articles, dict):
            raise DataError("not an object of articles", where=path, cure="Choose the reader that fits the file")
        for key, article in articles.items():
            title, extract = (article.get(part) if isinstance(article, dict) else None for part in ("title", "extract"))
            if isinstance(title, str) and isinstance(extract, str):
                yield f"{title}\n\n{extract}"
            else:
                yield Reject(where=f"{path.name}: {key}", reason="null")

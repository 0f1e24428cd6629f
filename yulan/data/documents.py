"""Documents as one stage hands them to the next: `<source>/00000.parquet`, columns id and text, sorted by id."""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from pyarrow import ArrowException

from yulan.errors import DataError

PART = re.compile(r"\d{5}\.parquet")
ROWS = 1024
CHARACTERS = 1 << 22
"""At most this many documents, and about this much of their text, are handed on at a time."""


def source_names(folder: Path) -> tuple[str, ...]:
    """Sources below a stage's data folder, sorted."""
    parts = (path for path in folder.rglob("*.parquet") if PART.fullmatch(path.name) and path.parent != folder)
    return tuple(sorted({path.parent.relative_to(folder).as_posix() for path in parts}))


def read_documents(folder: Path, source: str) -> Iterator[tuple[list[str], list[str]]]:
    """Ids and texts of a source, a bounded number at a time, in id order.

    Raises: DataError: a part is not such a Parquet file, or an id does not come after the one before it.
    """
    last = ""
    for part in sorted(path for path in (folder / source).glob("*.parquet") if PART.fullmatch(path.name)):
        try:
            for rows in pq.ParquetFile(part).iter_batches(ROWS, columns=["id", "text"]):
                ids, texts = (rows.column(name).to_pylist() for name in ("id", "text"))
                for each in ids:
                    if each <= last:
                        raise DataError(f"document {each[:12]} is out of order", where=part, cure="Build the stage before again")
                    last = each
                yield from _bounded(ids, texts)
        except (ArrowException, OSError, KeyError, TypeError) as error:
            what = f"not a table of documents ({error.__class__.__name__})"
            raise DataError(what, where=part, cure="Build the stage before again") from None


def _bounded(ids: list[str], texts: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    start = size = 0
    for stop, text in enumerate(texts, 1):
        size += len(text)
        if size >= CHARACTERS or stop == len(texts):
            yield ids[start:stop], texts[start:stop]
            start, size = stop, 0


def is_held_out(identity: str, per_mille: int) -> bool:
    """Whether a document is kept from training; a pure function of its id."""
    return int(identity[:8], 16) % 1000 < per_mille


def read_training(folder: Path, source: str, per_mille: int) -> Iterator[str]:
    """Texts of a source that may be trained on, in id order."""
    for ids, texts in read_documents(folder, source):
        yield from (text for each, text in zip(ids, texts, strict=True) if not is_held_out(each, per_mille))

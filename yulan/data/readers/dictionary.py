"""A Chinese dictionary: zipped lines of tab-separated fields."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from yulan.data.readers.lines import read_zipped_lines
from yulan.data.readers.reject import Reject
from yulan.schema import Scalar


def read_words(paths: list[Path], _: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """Lines `word TAB definition`. Neighbours that begin with the same character share a document, as on a page."""
    for path in paths:
        lines = [line if isinstance(line, Reject) else _fields(line, 2, path) for line in read_zipped_lines(path)]
        yield from (line for line in lines if isinstance(line, Reject))
        entries = [line for line in lines if not isinstance(line, Reject)]
        for _first, page in groupby(entries, key=lambda entry: entry[0][:1]):
            yield "\n".join(f"{word}：{meaning}" for word, meaning in page)


def read_characters(paths: list[Path], _: Mapping[str, Scalar]) -> Iterator[str | Reject]:
    """Lines of a character, six fields about its shape, and its readings with their meanings: one document each."""
    for path in paths:
        for line in read_zipped_lines(path):
            entry = line if isinstance(line, Reject) else _fields(line, 8, path)
            yield entry if isinstance(entry, Reject) else f"{entry[0]}\n{entry[7]}"


def _fields(line: str, count: int, path: Path) -> tuple[str, ...] | Reject:
    """Exactly `count` fields, the first and the last not empty."""
    fields = tuple(field.strip() for field in line.split("\t"))
    return fields if len(fields) == count and fields[0] and fields[-1] else Reject(where=path.name, reason="fields")

"""Own text as the stage before the shards hands it on, what it was read from, and what could not be taken."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from yulan import digest, files
from yulan.data import frames
from yulan.data.own.find import find
from yulan.data.readers.reject import Reject, Rejected
from yulan.data.readers.rows import read
from yulan.data.spill import buckets_for, gather, spread, text_bytes
from yulan.errors import DataError
from yulan.manifest import File
from yulan.schema import plain, read_json

Say = Callable[[str], None]
OWN, REJECTS = "own.json", "rejects.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What someone named on the command line."""

    path: Path
    column: str
    """That holds the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The files of a source, before they are read."""

    column: str
    files: tuple[File, ...]
    left_out: tuple[str, ...]
    """Files of test and validation splits in the same folder."""

    @property
    def digest(self) -> str:
        """Identity of the data, wherever its folder lies."""
        return digest.of_json({"column": self.column, "files": [plain(file) for file in self.files]})


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnSource:
    origin: Origin
    documents: int
    """Taken, each text once."""
    duplicates: int
    """Texts that another document has too."""
    bytes: int
    """UTF-8 bytes of the taken text."""
    rejected: Mapping[str, int]
    """Lines or rows by reason; each stands in rejects.jsonl."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Own:
    """own.json."""

    format: int
    sources: Mapping[str, OwnSource]


def survey(given: Mapping[str, Given]) -> dict[str, Origin]:
    """Raises: DataError: nothing to read at a path."""
    found = {name: find(each.path) for name, each in sorted(given.items())}
    return {name: Origin(column=given[name].column, files=each.survey(), left_out=each.left_out) for name, each in found.items()}


def write_own(
    given: Mapping[str, Given], origins: Mapping[str, Origin], texts: Path, into: Path, say: Callable[[str], None]
) -> Own:
    """Write the documents of each source below `texts`, sorted by id, and own.json and rejects.jsonl into `into`.

    `say` is told how far it is, file by file. Memory holds a 256th of a source's text, or 128 MB where that is more,
    never a whole file.

    Raises: DataError: a file is damaged, or a source has not one document.
    """
    sources = {}
    with files.open_new(into / REJECTS) as rejects:
        for name, each in sorted(given.items()):
            sources[name] = _write_source(name, each, origins[name], texts, rejects, say)
    made = Own(format=1, sources=sources)
    files.write_json(into / OWN, plain(made))
    return made


def _write_source(
    name: str, given: Given, origin: Origin, texts: Path, rejects: IO[bytes], say: Callable[[str], None]
) -> OwnSource:
    found, rejected, read_ = find(given.path), Counter[str](), 0
    spill = texts / f"spill-{digest.of_text(name)[:16]}"
    buckets = buckets_for(sum(map(text_bytes, found.paths)))

    def documents() -> Iterator[tuple[str, str]]:
        nonlocal read_
        for path in found.paths:
            for each in read(path, found.name(path), given.column):
                if isinstance(each, Reject):
                    rejected[each.reason] += 1
                    row = Rejected(source=name, where=each.where, reason=each.reason)
                    rejects.write(digest.canonical(plain(row)) + b"\n")
                else:
                    read_ += 1
                    yield digest.of_text(each), each
            say(f"{name}: {read_:,} documents and {sum(rejected.values()):,} rejects up to {found.name(path)}")

    spread(documents(), spill, buckets)
    if not read_:
        evidence = [f"{reason}  {count:,}" for reason, count in rejected.most_common()]
        cure = f"Name the column that holds text with --text-column; {given.column!r} was read"
        raise DataError("not one document could be taken", where=given.path, cure=cure, evidence=evidence)
    documents_, bytes_, part = 0, 0, 0
    for table in gather(spill, buckets):
        if len(table):
            named = table.append_column("source", pa.array([name] * len(table), pa.string()))
            part = frames.write(texts, name, named, part)
            documents_ += len(table)
            bytes_ += pc.sum(pc.binary_length(table["text"])).as_py()
    files.remove(spill)
    return OwnSource(
        origin=origin, documents=documents_, duplicates=read_ - documents_, bytes=bytes_, rejected=dict(sorted(rejected.items()))
    )


def read_own(folder: Path) -> Own:
    """Raises: DataError: no own.json, or it breaks its schema."""
    return read_json(folder / OWN, "own", Own)

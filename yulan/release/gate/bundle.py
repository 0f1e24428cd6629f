"""A bundle as the rules see it: nothing but its own files."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from yulan import manifest
from yulan.layout import MANIFEST
from yulan.manifest import Manifest
from yulan.recipe import Book, load_recipe
from yulan.release.names import MAIN, PARTS, Part
from yulan.release.release import Release, read_release

HEAD = 1 << 16
"""Bytes that are looked at where a kind of file shows at its start."""
LINE = 1 << 20
"""Characters of a line that are read at once; a longer one counts as several."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """One revision to be."""

    part: Part
    name: str
    path: Path
    content: Manifest

    def __str__(self) -> str:
        return f"{self.part}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    path: Path

    @cached_property
    def release(self) -> Release:
        return read_release(self.path)

    @cached_property
    def folders(self) -> tuple[Folder, ...]:
        """Every revision, in the order of publication."""
        return tuple(
            Folder(part=part, name=name, path=self.path / part / name, content=manifest.read(self.path / part / name / MANIFEST))
            for part in PARTS
            for name in sorted(self.release.part(part).revisions)
        )

    def of(self, part: Part) -> tuple[Folder, ...]:
        return tuple(folder for folder in self.folders if folder.part == part)

    @cached_property
    def book(self) -> Book:
        """The recipe that travels in the bundle."""
        return load_recipe(self.data, self.release.recipe)

    @property
    def data(self) -> Path:
        return self.path / "data" / MAIN

    @cached_property
    def checkpoints(self) -> list[dict[str, str]]:
        """Rows of checkpoints.csv."""
        return read_csv(self.path / "model" / MAIN / "checkpoints.csv")

    @cached_property
    def sources(self) -> list[dict[str, str]]:
        """Rows of sources.csv."""
        return read_csv(self.data / "sources.csv")

    def aliases(self) -> dict[str, str]:
        """Revision -> the one whose weights it is declared to share."""
        return {row["revision"]: row["alias_of"] for row in self.checkpoints if row["alias_of"]}

    def files(self) -> Iterator[Path]:
        """Every file, once for all its names: aliases are hard links."""
        seen: set[tuple[int, int]] = set()
        for path in sorted(self.path.rglob("*")):
            if path.is_file() and not path.is_symlink():
                about = path.stat()
                if (about.st_dev, about.st_ino) not in seen:
                    seen.add((about.st_dev, about.st_ino))
                    yield path

    def name(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def textual(path: Path) -> bool:
    """Whether people and scanners can read a file as text, whatever it is called."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    # The last character may be cut.
    return b"\0" not in head and len(head.decode("utf-8", "ignore").encode()) >= len(head) - 3


def lines(path: Path) -> Iterator[str]:
    """Lines of a text; what is no UTF-8 in it is replaced."""
    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in {b"\xff\xfe", b"\xfe\xff"} else "utf-8"
    with path.open(encoding=encoding, errors="replace") as text:
        while line := text.readline(LINE):
            yield line

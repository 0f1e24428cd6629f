"""Which files hold someone's data, and which of a data set's folder are kept out of training."""

import re
from dataclasses import dataclass
from pathlib import Path

from yulan import digest
from yulan.errors import DataError
from yulan.manifest import File

ENDS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".arrow")
HELD = re.compile(r"(?<![a-z])(test|testing|validation|valid|val|dev|eval|evaluation)(?![a-z])", re.IGNORECASE)
"""Splits as Hugging Face spells them in the names of files and folders."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    root: Path
    """The folder that names are told from."""
    paths: tuple[Path, ...]
    """Sorted by name."""
    left_out: tuple[str, ...]
    """Files of test and validation splits."""

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def survey(self) -> tuple[File, ...]:
        """Name, size and sha256 of each file."""
        return tuple(File(path=self.name(p), size=p.stat().st_size, sha256=digest.of_file(p)) for p in self.paths)


def find(path: Path) -> Found:
    """The file itself; of a folder every file in it that holds rows, but for hidden ones and those of test and validation splits.

    Raises: DataError: there is nothing that can be read.
    """
    if not path.exists():
        raise DataError("no such file or folder", where=path, cure="Correct the path of --data")
    if path.is_file():
        if not path.name.endswith(ENDS):
            raise DataError(
                "not a file of rows", where=path, cure=f"Give one that ends in {', '.join(ENDS)}, or a folder of such"
            )
        return Found(root=path.parent, paths=(path,), left_out=())
    there = sorted(p for p in path.rglob("*") if p.name.endswith(ENDS) and p.is_file())
    named = {p: p.relative_to(path).as_posix() for p in there}
    seen = [p for p in there if not any(part.startswith(".") for part in named[p].split("/"))]
    held = [p for p in seen if HELD.search(named[p])]
    if not seen:
        raise DataError("holds no rows", where=path, cure=f"Give a folder with files that end in {', '.join(ENDS)}")
    if len(held) == len(seen):
        raise DataError(
            "holds test and validation splits only", where=path, cure="Give the file itself if it is meant to be trained on"
        )
    return Found(root=path, paths=tuple(p for p in seen if p not in held), left_out=tuple(named[p] for p in held))

"""The DVC cache of a clone (DVC 3, `files/md5`): objects named by the md5 of their bytes, folders as lists of objects."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from yulan import digest, files
from yulan.errors import IntegrityError, StateError
from yulan.schema import load_json

FOLDER = ".dir"
"""End of a folder's name."""
RUNNING, QUOTED = re.compile(r"Running stage '([^']+)'"), re.compile(r"'([^']+)'")
STOPPED = re.compile(r"failed to reproduce.*|.*will be skipped due to this failure")
"""What DVC 3.67.1 says of stages with --keep-going; their names stand in quotes."""
READ_ONLY = 0o444
"""As DVC leaves objects: nobody but root may write through any of their names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    folder: Path

    def object(self, md5: str) -> Path:
        """Where the bytes of that name lie."""
        return self.folder / "files" / "md5" / md5[:2] / md5[2:]

    def holds(self, md5: str) -> bool:
        """Whether an output is there: of a folder the list and everything in it."""
        path = self.object(md5)
        if not md5.endswith(FOLDER):
            return path.is_file()
        return path.is_file() and all(self.object(row["md5"]).is_file() for row in load_json(path))

    def add(self, path: Path) -> str:
        """Give a file its name in the cache beside its own, read-only as DVC leaves it; returns the md5."""
        md5 = digest.md5_of_file(path)
        if not self.object(md5).exists():
            files.link(path, self.object(md5))
            self.object(md5).chmod(READ_ONLY)
        return md5

    def add_folder(self, rows: Mapping[str, str], md5: str) -> None:
        """Write the list of a folder whose files (path -> md5) are in the cache.

        Raises: IntegrityError: it is not the folder that dvc.lock calls `md5`.
        """
        told = [{"md5": rows[name], "relpath": name} for name in sorted(rows)]
        # DVC hashes this very spelling.
        data = json.dumps(told, sort_keys=True).encode()
        if digest.md5_of_bytes(data) + FOLDER != md5:
            raise IntegrityError(
                f"the files are not the output {md5} of dvc.lock", where=self.folder, cure="Do not use this release"
            )
        files.write_bytes(self.object(md5), data).chmod(READ_ONLY)

    def damaged(self) -> tuple[int, list[Path]]:
        """(objects, those whose bytes are not those of their name), using every core."""
        paths = sorted(p for p in (self.folder / "files" / "md5").glob("??/*") if p.is_file() and not p.name.startswith("."))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sums = list(pool.map(digest.md5_of_file, paths))
        wrong = [p for p, md5 in zip(paths, sums, strict=True) if p.parent.name + p.name.removesuffix(FOLDER) != md5]
        return len(paths), wrong


def cache_of(root: Path) -> Cache:
    """Raises: StateError: DVC does not know this clone."""
    return Cache(folder=Path(root, dvc(root, "cache", "dir").stdout.strip()))


def dvc(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Raises: StateError: DVC failed; its last lines are told."""
    done = _dvc(root, *words)
    if done.returncode:
        raise _failed(root, words[0], done)
    return done


def to_do(root: Path) -> tuple[str, ...]:
    """Stages that `dvc repro --allow-missing` would run.

    Those that changed for DVC and lack an input fail even in a dry run, and what depends on them is skipped: they are told too.

    Raises: StateError: DVC failed otherwise.
    """
    done = _dvc(root, "repro", "--allow-missing", "--dry", "--keep-going")
    stopped = sorted({name for line in STOPPED.findall(done.stderr) for name in QUOTED.findall(line)})
    if done.returncode and not stopped:
        raise _failed(root, "repro", done)
    return (*RUNNING.findall(done.stdout), *stopped)


def _dvc(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, capture_output=True, text=True, check=False)


def _failed(root: Path, word: str, done: subprocess.CompletedProcess[str]) -> StateError:
    return StateError(
        f"dvc {word} failed",
        where=root.name,
        cure="Cure what dvc names, then run the same command again",
        evidence=(done.stderr or done.stdout).strip().splitlines()[-5:],
    )


def require_sound(cache: Cache) -> int:
    """Number of objects, each with the bytes of its name.

    Raises: IntegrityError: one was written into, as root can through a hard link; each is named.
    """
    count, wrong = cache.damaged()
    if wrong:
        raise IntegrityError(
            f"{len(wrong)} objects of the cache have other bytes than their names say",
            where=cache.folder,
            cure="Remove them, then fetch or build what they were: dvc fetch, or dvc repro",
            evidence=[path.relative_to(cache.folder).as_posix() for path in wrong],
        )
    return count

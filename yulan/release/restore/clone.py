"""The git side of a clone: whether it may be put to another commit, and the move itself. No branch is moved."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from yulan.errors import StateError


def require_movable(root: Path, commit: str, written: Mapping[str, bytes]) -> None:
    """`written`: files that a restored clone has in place of the commit's; an interrupted try may have left some.

    Raises: StateError: git does not know the commit, or the tree holds work that is not committed.
    """
    require_known(root, commit)
    rows = git(root, "status", "--porcelain", "-z", "--untracked-files=no").stdout.split("\0")
    changed = [row[3:] for row in rows if row]
    mine = [name for name in changed if not _is(root / name, written.get(name))]
    if mine:
        raise StateError(
            "the tree is dirty", where=root.name, cure="Commit or stash these files, then restore again", evidence=mine
        )


def require_known(root: Path, commit: str) -> None:
    """Raises: StateError: the clone has no such commit."""
    if git(root, "cat-file", "-e", f"{commit}^{{commit}}").returncode:
        cure = "Fetch it: git fetch; or clone the repository that the release was built from"
        raise StateError(f"this clone has no commit {commit}", where=root.name, cure=cure)


def _is(path: Path, data: bytes | None) -> bool:
    return data is not None and path.is_file() and path.read_bytes() == data


def move(root: Path, commit: str) -> str:
    """Check a commit out, on no branch; returns what was checked out before, a branch or a commit.

    Raises: StateError: git refuses, as where an untracked file is in the way.
    """
    head = git(root, "rev-parse", "HEAD").stdout.strip()
    was = git(root, "symbolic-ref", "-q", "--short", "HEAD").stdout.strip() or head
    if head != commit:
        done = git(root, "checkout", "-q", "--detach", commit)
        if done.returncode:
            cure = "Move away what git names, then restore again"
            raise StateError("git cannot check the commit out", where=root.name, cure=cure, evidence=done.stderr.splitlines()[:8])
    return was


def git(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Raises: StateError: there is no git."""
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StateError("git is not installed", cure="Install it, then run the same command again") from None

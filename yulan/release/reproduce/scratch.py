"""A clone beside the clone: the release's commit, this environment, and nothing that was built."""

import subprocess
import sys
from pathlib import Path

from yulan import files
from yulan.errors import StateError
from yulan.layout import MANIFEST, Layout
from yulan.release.restore.clone import git, require_known


def make_scratch(root: Path, into: Path) -> None:
    """Clone `root` into `into`; what an interrupted try left there is gone on with.

    Raises: StateError: something else stands there.
    """
    if not (into / ".git").is_dir():
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise StateError("something else stands there", where=into, cure="Choose another folder with --into, or move it away")
        files.make_folder(into.parent)
        # Shared: a commit that is on no branch is known there too.
        done = git(root, "clone", "-q", "--shared", "--no-checkout", str(root), str(into.absolute()))
        if done.returncode:
            raise StateError("git cannot clone it", where=root, cure="Cure what git names", evidence=done.stderr.splitlines()[:5])
    for name in (".venv", ".cache/downloads"):
        if (root / name).exists() and not (into / name).is_symlink():
            files.make_folder((into / name).parent)
            (into / name).symlink_to((root / name).resolve())


def check_out(into: Path, commit: str) -> None:
    """Every tracked file as the commit has it; nothing there is anybody's work.

    Raises: StateError: the clone has no such commit.
    """
    require_known(into, commit)
    git(into, "checkout", "-q", "-f", "--detach", commit)


def forget(layout: Layout) -> None:
    """Remove what the commit says was built, so that nothing counts as made again that was not."""
    files.remove(layout.root / "dvc.lock")
    for path in sorted(layout.artifacts.rglob(MANIFEST)):
        files.remove(path)
    files.remove(layout.artifacts / "records")


def build(root: Path, *targets: str) -> None:
    """`dvc repro` in the clone, its words on this process's stderr.

    Raises: StateError: a stage failed.
    """
    words = [sys.executable, "-m", "dvc", "repro", *targets]
    if subprocess.run(words, cwd=root, stdout=2, check=False).returncode:
        raise StateError("dvc repro failed", where=root, cure="Cure what it names above, then run the same command again")

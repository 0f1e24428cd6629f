"""Hold a checkpoint to its manifest while it is read: threads hash its files, and none gives out a tensor before its sum."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from yulan import digest, manifest
from yulan.errors import YulanError
from yulan.layout import MANIFEST
from yulan.train.checkpoint.scan import BUT, contradictions, not_whole
from yulan.train.checkpoint.state import read_state
from yulan.train.checkpoint.stream import KINDS

LARGE = ".safetensors"


class Proof:
    """Of one checkpoint. Small files are held to the manifest at once, tensor files by and by, in the order of a load."""

    def __init__(self, folder: Path) -> None:
        """Raises: IntegrityError: no manifest; files that it does not list, or of other sizes; small files of other bytes."""
        self.folder = folder
        if not (folder / MANIFEST).exists():
            raise not_whole(folder, [f"missing  {MANIFEST}"])
        try:
            told = manifest.read(folder / MANIFEST)
        except YulanError as error:
            raise not_whole(folder, [error.what]) from None
        there = {path.relative_to(folder).as_posix(): path for path in manifest.listed(folder, but=BUT)}
        self.told = {file.path: file.sha256 for file in told.files}
        rows = [f"missing  {name}" for name in sorted(self.told.keys() - there.keys())]
        rows += [f"extra    {name}" for name in sorted(there.keys() - self.told.keys())]
        found = [(file, there[file.path]) for file in told.files if file.path in there]
        rows += [f"changed  {file.path}" for file, path in found if path.stat().st_size != file.size]
        large = sorted((path for file, path in found if path.suffix == LARGE), key=_turn)
        small = [(file, path) for file, path in found if path.suffix != LARGE]
        rows += [f"changed  {file.path}" for file, path in small if digest.of_file(path) != file.sha256]
        if rows := list(dict.fromkeys(rows)) or contradictions(told, read_state(folder)):
            raise not_whole(folder, rows)
        pool = ThreadPoolExecutor(os.cpu_count(), "proof")
        self.sums: dict[str, Future[str]] = {path.name: pool.submit(digest.of_mapped, path) for path in large}
        # No more work comes; the threads end with what there is.
        pool.shutdown(wait=False)

    def require(self, name: str) -> None:
        """Wait for a tensor file's sum.

        Raises: IntegrityError: the file is not as the manifest says.
        """
        if name in self.sums and self.sums[name].result() != self.told[name]:
            raise not_whole(self.folder, [f"changed  {name}"])

    def require_all(self) -> None:
        """Raises: IntegrityError: the checkpoint is not as its manifest says."""
        if rows := [f"changed  {name}" for name, found in sorted(self.sums.items()) if found.result() != self.told[name]]:
            raise not_whole(self.folder, rows)


def _turn(path: Path) -> tuple[int, str]:
    """Weights are loaded first."""
    kind = path.name.partition("-")[0]
    return next((turn for turn, each in enumerate(KINDS) if each == kind), len(KINDS)), path.name

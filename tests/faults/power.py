"""Power loss: what is not yet synced is gone. A save's log of writes, fsyncs and renames is cut at every point.

SIGKILL cannot show this: the page cache survives it. So the disk is simulated, at its most forgetful in both ways, and at
some drawn mixtures of them.
"""

import os
import random
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.faults.rows import NotAsStatedError, Trial, require, row
from tests.unit.train.test_checkpoint import RECIPE, save
from yulan import files
from yulan.errors import YulanError
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.scan import differences, newest, step_name, steps_in
from yulan.train.checkpoint.state import State, read_state
from yulan.train.checkpoint.write import retain
from yulan.train.log import Log

CHECKPOINTS = "checkpoints"


class Disk:
    """What of a folder is on the platter: contents since a file's fsync, names since their folder's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.contents: dict[int, bytes] = {}
        self.names: dict[int, dict[str, int]] = {}
        self.held: list[int] = []
        for folder, _, there in os.walk(root):
            self.sync(Path(folder))
            for name in there:
                self.sync(Path(folder) / name)

    def sync(self, path: Path) -> None:
        inode = path.stat().st_ino
        # An open descriptor keeps the inode's number from being given to another file.
        self.held.append(os.open(path, os.O_RDONLY))
        if stat.S_ISDIR(path.stat().st_mode):
            self.names[inode] = {entry.name: entry.inode() for entry in os.scandir(path)}
            self.names |= {entry.inode(): {} for entry in os.scandir(path) if entry.is_dir() and entry.inode() not in self.names}
        else:
            self.contents[inode] = path.read_bytes()

    def without_names(self, into: Path, inode: int | None = None) -> Path:
        """After a cut that loses every name whose folder was not synced."""
        into.mkdir()
        for name, each in self.names[self.root.stat().st_ino if inode is None else inode].items():
            if each in self.names:
                self.without_names(into / name, each)
            else:
                (into / name).write_bytes(self.contents.get(each, b""))
        return into

    def without_contents(self, into: Path, folder: Path | None = None) -> Path:
        """After a cut that keeps every name, but of a file that was not synced only the name."""
        into.mkdir()
        for entry in os.scandir(folder or self.root):
            if entry.is_dir():
                self.without_contents(into / entry.name, Path(entry.path))
            else:
                (into / entry.name).write_bytes(self.contents.get(entry.inode(), b""))
        return into

    def with_some(self, into: Path, draw: random.Random, folder: Path | None = None) -> Path:
        """After a cut that keeps, of what was not synced, a drawn part."""
        into.mkdir()
        here = folder or self.root
        told = self.names.get(here.stat().st_ino, {})
        now = {entry.name: entry for entry in os.scandir(here)}
        for name in sorted(now.keys() | told.keys()):
            entry = now.get(name)
            old = told.get(name)
            if entry is None or (old != entry.inode() and draw.random() < 0.5):
                if old is not None and old in self.names:
                    self.without_names(into / name, old)
                elif old is not None:
                    (into / name).write_bytes(self.contents.get(old, b""))
            elif entry.is_dir():
                self.with_some(into / name, draw, Path(entry.path))
            else:
                data, synced = Path(entry.path).read_bytes(), self.contents.get(entry.inode())
                part = data[: draw.randint(0, len(data))]
                (into / name).write_bytes(
                    part if synced is None else synced if draw.random() < 0.5 else synced + part[len(synced) :]
                )
        return into

    def close(self) -> None:
        for each in self.held:
            os.close(each)


class Cuts:
    """A run that stands at step 2, logs two steps, saves step 4 and removes step 2; the power may fail at each point of it."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.draw = folder, random.Random(seed)
        self.root = folder / "run"
        self.begin = read_state(write_initial(folder / "init", RECIPE))
        self.log = self._open(self.root, self.begin)
        self._steps(1, 2)
        files.sync_folder(self.root)
        self.fsyncs = self.cuts = 0
        self.found: list[int | None] = []

    def _open(self, root: Path, state: State) -> Log:
        return Log(root, state.global_step, self.begin.chain, state.chain)

    def _steps(self, *steps: int) -> None:
        """Log steps and save after the last of them."""
        for step in steps:
            row: dict[str, Any] = {"step": step, "phase_step": step, "tokens": step, "targets": 1, "loss": 1.5, "z": 1.0}
            row |= {"lr": 0.1, "grad_norm": 1.0, "skipped": False, "why": None, "windows": None, "rollback": None}
            held = {"step": step, "batch": "0" * 64, "loss": (1.5).hex(), "grad_norm": (1.0).hex()}
            self.log.add(row, held, durable=step == steps[-1])
        save(self.root / CHECKPOINTS, steps[-1], self.state(steps[-1]))

    def state(self, step: int) -> State:
        return replace(self.begin, chain=self.log.chain)

    def play(self, lost: int | None = None) -> list[int | None]:
        """Steps that a start after each cut goes on from; `lost` is the number of an fsync that the disk leaves out.

        Raises: NotAsStatedError: a checkpoint counts as complete and does not load, or the new one is gone at the end.
        """
        disk = Disk(self.root)

        def observe(operation: files.Operation) -> None:
            if not operation.path.is_relative_to(self.root):
                return
            if operation.kind == "fsync":
                self.fsyncs += 1
                if self.fsyncs != lost:
                    disk.sync(operation.path)
            self.look(disk)

        with observed(observe):
            self._steps(3, 4)
            retain(self.root / CHECKPOINTS, 4, keep=1, every=2, begin=0)
        disk.close()
        require(self.found[-3:] == [4, 4, 4], "a save that had ended is gone")
        return self.found

    def look(self, disk: Disk) -> None:
        for cut in (disk.without_names, disk.without_contents, lambda into: disk.with_some(into, self.draw)):
            self.cuts += 1
            root = cut(self.folder / f"cut-{self.cuts}")
            for step in steps_in(root / CHECKPOINTS):
                rows = differences(root / CHECKPOINTS / step_name(step))
                require(not rows, f"cut {self.cuts}: step {step} counts as complete:", rows)
            here, _ = newest(root / CHECKPOINTS)
            require(here is not None, f"cut {self.cuts}: no checkpoint")
            try:
                self._open(root, read_state(here))
            except YulanError as error:
                raise NotAsStatedError(f"cut {self.cuts}: {error}") from None
            self.found.append(read_state(here).global_step)


@contextmanager
def observed(observe: Any) -> Iterator[None]:
    files.observers.append(observe)
    try:
        yield
    finally:
        files.observers.remove(observe)


@row(
    "power-loss",
    fault="power loss in a save",
    how="the log of writes, fsyncs, renames and removals is cut at every prefix, the disk forgetting names, contents, or a drawn "
    "mixture",
    outcome="every folder that counts as complete loads, with its logs; the save before is found until the new one is whole",
    trials=4,
)
def power_loss(trial: Trial) -> None:
    cuts = Cuts(trial.folder, trial.seed)
    found = cuts.play()
    require(set(found) == {2, 4}, "found", set(found))
    require(cuts.fsyncs == 10, f"`lost-fsync` tries 10 fsyncs, a save makes {cuts.fsyncs}")
    trial.seen["cuts"] += len(found)


@row(
    "lost-fsync",
    fault="the same without one of the fsyncs (a control: the simulation must notice)",
    how="one fsync after the other is left out",
    outcome="a complete folder does not load, or a finished save is gone",
    trials=10,
    sample=2,
)
def lost_fsync(trial: Trial) -> None:
    lost = trial.number + 1
    cuts = Cuts(trial.folder, trial.seed)
    try:
        cuts.play(lost)
    except NotAsStatedError:
        trial.seen["fsyncs whose loss is noticed"] += 1
        return
    require(False, f"fsync {lost} of {cuts.fsyncs} may be left out, and nothing notices")

"""SIGKILL of the checkpoint writer: alone, thousand times, and in whole runs just before the commit marker."""

import mmap
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults import warm
from tests.faults.ground import House, free
from tests.faults.inject import at_operation, meet_operations
from tests.faults.rows import Trial, require, row
from tests.unit.train.disturb import tree
from tests.unit.train.test_checkpoint import RECIPE, save
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.scan import newest, step_name, steps_in, sweep
from yulan.train.checkpoint.state import read_state
from yulan.train.checkpoint.write import retain
from yulan.train.launch.job import CHECKPOINTS

OLD, NEW = 2, 4
WAITING, SAVING, SAVED = range(3)


class Bench:
    """A folder with one checkpoint, the next one to save, and all the points that a save passes."""

    def __init__(self, house: House) -> None:
        self.folder = house.root / "writer"
        self.state = read_state(write_initial(self.folder / "init", RECIPE))
        self.shared = mmap.mmap(-1, 16)
        save(self.folder / "old", OLD, self.state)
        self.hit: set[int] = set()
        self.points: list[tuple[str, str]] = []
        told = self.folder / "points"
        warm.ended(warm.fork(partial(self._list_points, told), self.folder / "said"), 60)
        self.points = [(when, kind) for when, kind, _ in (line.split("\t") for line in told.read_text().splitlines())]
        self.names = [line.split("\t")[2] for line in told.read_text().splitlines()]
        self.whole = tree(self.folder / "new" / step_name(NEW))
        self.before = tree(self.folder / "old" / step_name(OLD))
        self.seconds = self.shared_seconds

    def _list_points(self, told: Path) -> None:
        root = self.folder / "new"
        shutil.copytree(self.folder / "old", root)
        rows: list[str] = []
        meet_operations(lambda when, kind, path: rows.append(f"{when}\t{kind}\t{path.name}"))
        begun = time.monotonic()
        self.work(root)
        self.shared[8:16] = int(1e6 * (time.monotonic() - begun)).to_bytes(8, "little")
        told.write_text("\n".join(rows))

    @property
    def shared_seconds(self) -> float:
        return int.from_bytes(self.shared[8:16], "little") / 1e6

    def work(self, root: Path) -> None:
        """What a save does, the removal of the checkpoint before it included."""
        save(root, NEW, self.state)
        retain(root, NEW, keep=1, every=2, begin=0)

    def child(self, root: Path, strike: int | None) -> None:
        """Save, counting points; at the one to strike at, be gone."""
        points = 0

        def meet(when: str, kind: str, path: Path) -> None:
            nonlocal points
            points += 1
            self.shared[1:5] = points.to_bytes(4, "little")
            if points == strike:
                os.kill(os.getpid(), signal.SIGKILL)

        meet_operations(meet)
        self.shared[0] = SAVING
        self.work(root)
        self.shared[0] = SAVED
        time.sleep(60)

    @property
    def commit(self) -> range:
        """Points from the last tensor file's own name to the commit marker's, counted from 1."""
        shard = max(i for i, name in enumerate(self.names) if "exp_avg_sq" in name and self.points[i] == ("after", "rename"))
        marker = next(i for i, name in enumerate(self.names) if "manifest" in name and self.points[i] == ("before", "rename"))
        return range(shard + 1, marker + 2)


_benches: dict[Path, Bench] = {}


def bench_of(trial: Trial) -> Bench:
    house = trial.house
    if house.root not in _benches:
        _benches[house.root] = Bench(house)
    return _benches[house.root]


def strike(trial: Trial, bench: Bench, root: Path, point: int | None) -> None:
    """Kill the writer at a point, or after a drawn time."""
    bench.shared[0], bench.shared[1:5] = WAITING, bytes(4)
    pid = warm.fork(lambda: bench.child(root, point), trial.folder / "said")
    if point is None:
        while bench.shared[0] == WAITING:
            time.sleep(0.0001)
        time.sleep(random.Random(trial.seed).uniform(0, bench.seconds))
        os.kill(pid, signal.SIGKILL)
    code = warm.ended(pid, 30)
    require(code == -signal.SIGKILL, "the writer ended by itself with", code, (trial.folder / "said").read_text())
    reached = int.from_bytes(bench.shared[1:5], "little")
    trial.seen["inside a save"] += bench.shared[0] == SAVING
    trial.seen["after its end"] += bench.shared[0] == SAVED
    bench.hit.add(reached)
    for when in ("before", "after"):
        every = {i + 1 for i, (each, _) in enumerate(bench.points) if each == when}
        trial.seen[f"of {len(every)} operations hit {when}"] = len(every & bench.hit)


@row(
    "writer-kill",
    fault="SIGKILL of the checkpoint writer",
    how="every second trial at the next point before, in or after a write, fsync, rename or removal; else at a drawn moment",
    outcome="the previous checkpoint, unchanged, or the whole new one is found; the next save sweeps and ends byte-equal",
    trials=1000,
    sample=40,
)
def writer_kill(trial: Trial) -> None:
    bench, root = bench_of(trial), trial.folder / "checkpoints"
    shutil.copytree(bench.folder / "old", root)
    point = 1 + trial.number // 2 % len(bench.points) if trial.number % 2 == 0 else None
    strike(trial, bench, root, point)
    settle(bench, root)


def settle(bench: Bench, root: Path) -> None:
    """What a rerun finds and makes of it."""
    found, damaged = newest(root)
    require(not damaged, damaged)
    require(found is not None, "no checkpoint is found")
    expected = {step_name(OLD): bench.before, step_name(NEW): bench.whole}
    for step in steps_in(root):
        require(tree(root / step_name(step)) == expected[step_name(step)], f"step {step} changed")
    sweep(root)
    if found == root / step_name(OLD):
        save(root, NEW, bench.state)
    retain(root, NEW, keep=1, every=2, begin=0)
    require(sorted(p.name for p in root.iterdir()) == [step_name(NEW)], "left over:", sorted(p.name for p in root.iterdir()))
    require(tree(root / step_name(NEW)) == bench.whole, "the new save differs")


@row(
    "commit-kill",
    fault="SIGKILL between the last tensor file and the commit marker",
    how="rank 0 of a whole run kills itself at each point of its third save between the two; one and two processes in turn",
    outcome="no marker; the newest complete checkpoint is found by looking; the rerun ends byte-equal",
    trials=16,
)
def commit_kill(trial: Trial) -> None:
    bench, processes = bench_of(trial), trial.pick(1, 2)
    point = bench.commit[trial.number // 2 % len(bench.commit)]
    run = trial.folder / "run"
    in_rank = killing(partial(at_operation, 3, point))
    code, said = trial.house.train(trial.house.plan(processes), run, in_rank)
    require(code == 9, f"ended with {code}:", said)
    require("a training process ended with" in said, said)
    require((run / CHECKPOINTS / "step-000006.partial").is_dir(), "nothing was half written")
    require(trial.house.last_good(run, processes) == 4, "the newest complete checkpoint is not step 4")
    free(run)
    trial.house.rerun(run, processes)
    trial.seen[f"on {processes} process{'es' if processes > 1 else ''}"] += 1


def killing(put: Callable[[Callable[[], None]], None], victim: int = 0) -> Callable[[int], None]:
    """A fault that kills one rank where `put` says."""

    def in_rank(number: int) -> None:
        if number == victim:
            put(lambda: os.kill(os.getpid(), signal.SIGKILL))

    return in_rank

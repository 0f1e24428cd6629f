"""A disk that is full, read-only or failing while a run saves."""

import errno
import os
import shutil
import subprocess
import time

from tests.faults.inject import at_operation
from tests.faults.rows import Trial, require, row
from tests.faults.writer import bench_of
from yulan.train.checkpoint import write
from yulan.train.checkpoint.scan import steps_in
from yulan.train.launch.job import CHECKPOINTS

CODE = 8
"""Of ResourceError."""
SAID = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "not allowed to write here",
    errno.EIO: "the disk reports an input or output error",
}


@row(
    "disk-error",
    fault="disk full, over quota, read-only, forbidden or failing in a save",
    how="the error is raised at a drawn point of the third save (before, in or after a write, fsync, rename or removal), on one "
    "and two processes in turn",
    outcome="exit code 8 and the disk's words; no traceback; the old checkpoint is there; the rerun ends byte-equal",
    trials=30,
)
def disk_error(trial: Trial) -> None:
    number = list(SAID)[trial.number % len(SAID)]
    processes = trial.pick(1, 2)
    points = [i for i, (_, kind) in enumerate(bench_of(trial).points, 1)]
    point = points[(trial.number * 7) % len(points)]
    run = trial.folder / "run"

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    def in_rank(rank: int) -> None:
        if rank == 0:
            at_operation(3, point, fail)

    code, said = trial.house.train(trial.house.plan(processes), run, in_rank)
    require(code == CODE, f"ended with {code} at point {point} {bench_of(trial).points[point - 1]}:", said)
    require(SAID[number] in said, said)
    require("Traceback" not in said, said)
    require(4 in steps_in(run / CHECKPOINTS), "the old checkpoint is gone:", steps_in(run / CHECKPOINTS))
    require(trial.house.last_good(run, processes) in {4, 6}, "another checkpoint than before counts")
    trial.house.rerun(run, processes)
    trial.seen[errno.errorcode[number]] += 1


def mounted(*words: str) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


@row(
    "disk-full",
    fault="a real file system runs full in a run, or cannot be written from the start",
    how="a tmpfs of 1 MB (with and without the look at free space before a save), then larger; one mounted read-only; needs root",
    outcome="exit code 8 and the disk's words; no traceback; the old checkpoint is there; with room again a byte-equal end",
    trials=6,
    sample=0,
)
def disk_full(trial: Trial) -> None:
    place = trial.folder / "disk"
    place.mkdir()
    case, processes = trial.pick("full", "full in the middle", "read-only"), 1 + trial.number // 3 % 2
    if not mounted("-t", "tmpfs", "-o", "size=1000k", "none", str(place)):
        trial.seen["not tried: mounting is not allowed here"] += 1
        return
    try:
        run = place / "run"
        run.mkdir()
        said_in = trial.folder / "said"
        if case == "read-only":
            require(mounted("-o", "remount,ro", str(place)), "cannot remount")

        def in_rank(rank: int) -> None:
            if case == "full in the middle":
                write.files.require_space = lambda folder, size: None

        stage = trial.house.start(trial.house.plan(processes), run, in_rank, said=said_in)
        code, said = stage.wait(look=case != "read-only")
        require(code == CODE, f"{case}: ended with {code}:", said)
        words = {"full": "bytes are needed", "full in the middle": "no space left", "read-only": "read-only"}[case]
        require(words in said, said)
        require("Traceback" not in said, said)
        if case != "read-only":
            require(trial.house.last_good(run, processes) is not None, "no checkpoint")
        require(mounted("-o", "remount,rw,size=20m", str(place)), "cannot remount")
        trial.house.rerun(run, processes)
        trial.seen[case] += 1
    finally:
        # A process that ended a moment ago may hold it still.
        for _ in range(50):
            if subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        shutil.rmtree(place, ignore_errors=True)

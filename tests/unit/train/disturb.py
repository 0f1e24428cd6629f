"""A stage under its launcher, and what strikes it; shared by test_run.py and the fault harness."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.unit.train.conftest import ROOT, World
from yulan import files
from yulan.train.log import METRICS


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def descendants(pid: int) -> list[int]:
    direct = children(pid)
    return direct + [each for child in direct for each in descendants(child)]


def steps_done(run: Path) -> int:
    return len(files.complete_rows(run / METRICS))


def alive(pid: int) -> bool:
    """A process is gone once its last thread is: one that still syncs a checkpoint holds the folder's lock."""
    try:
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        return threads > 1 or "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def disturb(
    world: World,
    run: Path,
    after: int,
    strike: Callable[[int, list[int]], None],
    *,
    steps: int,
    processes: int = 2,
    launcher: str = "torchrun",
    parent: Path | None = None,
) -> tuple[int, str]:
    """Start a stage, strike once `after` steps are logged; no process may live on. Returns: exit code, stderr.

    With `parent` the stage is that of phase-02, which begins with it re-balanced.
    """
    script = str(Path(__file__).with_name("stage.py"))
    command = [sys.executable, script, str(world.folder), str(run), str(steps), str(processes), launcher]
    command += [str(parent)] if parent else []
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}) as stage:
        before = steps_done(run)
        while (done := steps_done(run)) < after or done == before:
            assert stage.poll() is None, stage.stderr.read().decode()
            time.sleep(0.005)
        family = descendants(stage.pid)
        assert len(family) == 1 + processes, "a launcher and its ranks"
        strike(stage.pid, family)
        said = stage.communicate(timeout=60)[1].decode()
    deadline = time.monotonic() + 2
    while any(alive(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in family if alive(pid)], "orphans"
    return stage.returncode, said


def kill_rank(stage: int, family: list[int]) -> None:
    os.kill(family[-1], signal.SIGKILL)


def kill_launcher(stage: int, family: list[int]) -> None:
    os.kill(family[0], signal.SIGKILL)


def kill_stage(stage: int, family: list[int]) -> None:
    os.kill(stage, signal.SIGKILL)


def terminate_stage(stage: int, family: list[int]) -> None:
    os.kill(stage, signal.SIGTERM)


def interrupt_stage(stage: int, family: list[int]) -> None:
    os.kill(stage, signal.SIGINT)


def terminate_rank(stage: int, family: list[int]) -> None:
    os.kill(family[-1], signal.SIGTERM)


def flip(path: Path, offset: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)

"""A phase on a real Slurm: submitted, its waiting stage killed, attached to again, told that its time is up, requeued, taken
away by the scheduler, finished. Run by `make slurm`; it takes some minutes and needs root."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.slurm.cluster import cluster, missing, wait_until
from tests.unit.train.conftest import ROOT, World, build_world, profile, small_recipe
from yulan.errors import ResourceError, StateError
from yulan.profile import Slurm
from yulan.train.checkpoint.scan import steps_in
from yulan.train.launch.job import CHECKPOINTS, JOB
from yulan.train.launch.slurm import job_name
from yulan.train.phase import link_outcome, train_phase

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=f"this machine lacks {', '.join(missing())}")]
STEPS, EVERY = 8000, 100
ON_SLURM = replace(
    profile(2), launcher="slurm", slurm=Slurm(nodes=2, gpus=0, minutes=20, notice=30, partition="all", account=None)
)
STAGE = """
import sys
from pathlib import Path
from tests.slurm.test_slurm import EVERY, ON_SLURM, STEPS
from tests.unit.train.conftest import World, small_recipe
from yulan.errors import YulanError
from yulan.train.phase import train_phase
folder = Path(sys.argv[1])
world = World(folder=folder, recipe=small_recipe(STEPS, EVERY), parent=folder / "init" / "step-000000")
try:
    train_phase(world.plan(STEPS, profile=ON_SLURM), Path(sys.argv[2]))
except YulanError as error:
    sys.exit(str(error))
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refuse_another_launcher(world: World, run: Path) -> None:
    """Nobody waits and the folder's own lock is free, yet it has its trainer, which is not disturbed."""
    before = (run / JOB).read_bytes()
    with pytest.raises(StateError, match="another process works in this folder"):
        train_phase(world.plan(STEPS), run)
    assert (run / JOB).read_bytes() == before


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cluster(tmp_path_factory.mktemp("slurm")) as env:
        yield env


def test_what_slurm_refuses_is_passed_on(slurm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLURM_CONF", slurm["SLURM_CONF"])
    elsewhere = replace(ON_SLURM, slurm=replace(ON_SLURM.slurm, partition="none-such"))
    with pytest.raises(ResourceError, match=r"sbatch: Slurm refuses: .*Invalid partition"):
        train_phase(build_world(tmp_path / "world", small_recipe(STEPS, EVERY)).plan(STEPS, profile=elsewhere), tmp_path / "run")


def test_a_job_that_is_left_taken_away_and_out_of_time_ends_as_if_nobody_had_touched_it(
    slurm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLURM_CONF", slurm["SLURM_CONF"])
    world, run = build_world(tmp_path / "world", small_recipe(STEPS, EVERY)), tmp_path / "run"
    env = os.environ | slurm | {"PYTHONPATH": str(ROOT)}

    def ask(*command: str) -> str:
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", STAGE, str(world.folder), str(run)], env=env, stderr=subprocess.PIPE, text=True
        )

    def steps() -> int:
        return max(steps_in(run / CHECKPOINTS), default=0)

    def ids() -> list[str]:
        return ask("squeue", "-h", "-o", "%i", f"--name={job_name(run)}").split()

    def restarts() -> int:
        return int(re.search(r"Restarts=(\d+)", ask("scontrol", "show", "job", number))[1])

    # The waiting stage is killed: the job goes on.
    stage = start()
    wait_until(lambda: steps() >= EVERY, 120, "the first checkpoints")
    (number,) = ids()
    stage.send_signal(signal.SIGKILL)
    stage.communicate()
    seen = steps()
    wait_until(lambda: steps() > seen, 60, "a step after its waiter was killed")

    refuse_another_launcher(world, run)
    # A second stage attaches; SIGTERM ends the waiting, not the job.
    stage = start()
    told = stage.stderr.readline()
    stage.terminate()
    said = stage.communicate(timeout=30)[1]
    assert f"attached to job {number}" in told
    assert f"stopped waiting; job {number} goes on" in said
    assert ids() == [number]

    # Its time is up: it saves the step it is in, and queues itself again.
    ask("scancel", "--signal=USR1", "--batch", number)
    wait_until(lambda: restarts() == 1, 60, "the job to queue itself again")
    stopped = steps()
    # The scheduler takes it away in the middle: it comes back by itself and goes on from the last checkpoint.
    wait_until(lambda: steps() > stopped, 240, "a step after the requeue")
    ask("scontrol", "requeue", number)
    wait_until(lambda: restarts() == 2, 60, "the job to be requeued")

    stage = start()
    said = stage.communicate(timeout=900)[1]
    assert (stage.returncode, f"attached to job {number}" in said) == (0, True), said
    link_outcome(train_phase(world.plan(STEPS, profile=ON_SLURM), run), tmp_path / "data")
    link_outcome(train_phase(world.plan(STEPS), tmp_path / "other"), tmp_path / "undisturbed")
    assert tree(tmp_path / "data") == tree(tmp_path / "undisturbed")
    with contextlib.suppress(subprocess.CalledProcessError):
        assert not ids()

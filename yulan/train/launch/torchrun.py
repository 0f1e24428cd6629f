"""Run a job's ranks under torchrun, as children that hold the run folder's lock and die with this process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from yulan import errors, files
from yulan.errors import TrainError
from yulan.schema import load_json
from yulan.train.launch.guard import ask_kernel
from yulan.train.launch.job import FAILURE, OUTPUT, Job, write_job

POLL = 0.2
"""Seconds between looks at the processes."""


def launch(job: Job, lock: int, look: Callable[[], None]) -> None:
    """Start the ranks and wait for them; `look` is called again and again meanwhile.

    Raises: what a rank raised; TrainError: a rank died, or someone asked to stop.
    """
    folder = Path(job.folder)
    files.remove(folder / FAILURE)
    path = write_job(job)
    with (folder / OUTPUT).open("ab") as output:
        # stdin is the lock's descriptor: torchrun closes every other one before it starts the ranks.
        process = subprocess.Popen(
            _command(job, path),
            stdin=lock,
            stdout=output,
            stderr=output,
            env=_environment(job),
            start_new_session=True,
            preexec_fn=ask_kernel,
        )
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if not asked:
            process.terminate()
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while process.poll() is None:
            time.sleep(POLL)
            look()
        look()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if process.poll() is None:
            process.kill()
            process.wait()
    if asked:
        raise TrainError(f"stopped by {signal.Signals(asked[0]).name}", where=folder, cure="To go on, run the same command again")
    if process.returncode:
        raise _failure(folder, process.returncode)


def _command(job: Job, path: Path) -> list[str]:
    options = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={job.profile.processes}", "--max-restarts=0"]
    return [sys.executable, "-m", "torch.distributed.run", *options, "--module", "yulan.train.launch.rank", str(path)]


def _environment(job: Job) -> dict[str, str]:
    own = {
        "OMP_NUM_THREADS": str(job.profile.threads),
        "MKL_NUM_THREADS": str(job.profile.threads),
        "DS_ACCELERATOR": job.profile.device,
        # The package may be run from a clone without being installed.
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    return os.environ | own


def _failure(folder: Path, code: int) -> errors.YulanError:
    """What a rank said before it ended, or the end of its output."""
    if (folder / FAILURE).exists():
        told = load_json(folder / FAILURE)
        kind: type[errors.YulanError] = getattr(errors, told["kind"], TrainError)
        return kind(told["what"], where=told["where"], cure=told["cure"], evidence=told["evidence"])
    lines = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace").splitlines()
    return TrainError(
        f"a training process ended with code {code}",
        where=folder / OUTPUT,
        cure="To go on from the last checkpoint, run the same command again",
        evidence=lines[-8:],
    )

"""Run a job's ranks under torchrun, as children that hold the run folder's lock and die with this process."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from yulan import files
from yulan.errors import TrainError
from yulan.train.launch.guard import ask_kernel
from yulan.train.launch.job import FAILURE, OUTPUT, Job, environment, failure, write_job

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
            env=environment(job),
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
        raise failure(folder, f"code {process.returncode}")


def _command(job: Job, path: Path) -> list[str]:
    options = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={job.profile.processes}", "--max-restarts=0"]
    return [sys.executable, "-m", "torch.distributed.run", *options, "--module", "yulan.train.launch.rank", str(path)]

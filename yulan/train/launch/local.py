"""Run a job's ranks on this machine, under torchrun or DeepSpeed's launcher: they hold the run folder's lock and die with this
process."""

import base64
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from yulan import files
from yulan.errors import TrainError
from yulan.train.launch.guard import ask_kernel, stops
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
        # stdin is the lock's descriptor: either launcher closes every other one before it starts the ranks.
        process = subprocess.Popen(
            _command(job, path),
            stdin=lock,
            stdout=output,
            stderr=output,
            env=environment(job),
            start_new_session=True,
            preexec_fn=ask_kernel,
        )
    try:
        with stops(lambda: _ask_ranks(process.pid)) as asked:
            while process.poll() is None:
                time.sleep(POLL)
                look()
            look()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if asked:
        raise TrainError(f"stopped by {signal.Signals(asked[0]).name}", where=folder, cure="To go on, run the same command again")
    if process.returncode:
        raise failure(folder, f"code {process.returncode}")


def _ask_ranks(launcher: int) -> None:
    """SIGTERM to the ranks, or to the launcher while it has none. Told itself, either launcher gives its ranks 30 seconds, and
    DeepSpeed's tells them one after the other: a large checkpoint takes longer, and it takes all of them."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(launcher)
        for each in process.children() or [process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.terminate()


def _command(job: Job, path: Path) -> list[str]:
    count = job.profile.processes
    if job.profile.launcher == "deepspeed":
        world = base64.urlsafe_b64encode(json.dumps({"localhost": list(range(count))}).encode()).decode()
        where = [f"--world_info={world}", "--node_rank=0", "--master_addr=127.0.0.1", f"--master_port={_free_port()}"]
        options = ["deepspeed.launcher.launch", *where, "--no_local_rank", "--quiet", "--module"]
    else:
        one = ["--standalone", "--local-addr=127.0.0.1", "--max-restarts=0"]
        options = ["torch.distributed.run", *one, f"--nproc-per-node={count}", "--module"]
    return [sys.executable, "-m", *options, "yulan.train.launch.rank", str(path)]


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
    return port

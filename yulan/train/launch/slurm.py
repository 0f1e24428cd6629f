"""Run a job's ranks under Slurm: submit once, wait, and attach again after the waiting process was killed.

The job is named by its run folder, so whoever asks for the same run finds it. It outlives this process.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from yulan import digest, files
from yulan.errors import ResourceError, TrainError
from yulan.profile import Slurm
from yulan.train.launch.guard import stops
from yulan.train.launch.job import FAILURE, OUTPUT, Job, environment, failure, write_job

POLL = 2.0
"""Seconds between looks at the queue."""
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "GONE"}
"""States of a job from which nothing more comes."""
BATCH = Path(__file__).with_name("batch.sh")


def job_name(folder: Path) -> str:
    """The run's digest, and the folder's own: another clone's run of the same digest is another job."""
    return f"yulan-{folder.name[:16]}-{digest.of_bytes(str(folder.resolve()).encode())[:8]}"


def find_job(folder: Path) -> int | None:
    """Id of the folder's job that is queued or runs.

    Raises: ResourceError: Slurm does not answer.
    """
    found = _slurm("squeue", "--me", "--noheader", f"--name={job_name(folder)}", "--format=%i").split()
    return int(found[0]) if found else None


def launch(job: Job, lock: int, look: Callable[[], None]) -> None:
    """Submit the job, or attach to the one that is there, and wait for its end; `look` is called again and again.

    Raises: ResourceError: Slurm refuses; TrainError: the job failed, or someone asked to stop waiting; what a rank raised.
    """
    folder = Path(job.folder)
    number = find_job(folder)
    if number is None:
        files.remove(folder / FAILURE)
        number = _submit(job, write_job(job), folder)
        _say(f"job {number} submitted; it outlives this process")
    else:
        _say(f"attached to job {number}")
    told = ""
    with stops(lambda: None) as asked:
        while not asked and (state := _state(number)) not in ENDED:
            if state != told:
                _say(f"job {number} {state}")
                told = state
            time.sleep(POLL)
            look()
        look()
    if asked:
        cure = f"To wait again, run the same command again; to end the job: scancel {number}"
        raise TrainError(f"stopped waiting; job {number} goes on", where=folder, cure=cure)
    if state != "COMPLETED":
        raise failure(folder, f"state {state} in Slurm job {number}")


def _state(number: int) -> str:
    """Of a job; `GONE` once Slurm has forgotten it."""
    done = subprocess.run(["scontrol", "--oneliner", "show", "job", str(number)], capture_output=True, text=True, check=False)
    if done.returncode:
        return "GONE" if "Invalid job id" in done.stderr else "UNKNOWN"
    words = dict(word.partition("=")[::2] for word in done.stdout.split())
    return words.get("JobState", "UNKNOWN")


def _submit(job: Job, path: Path, folder: Path) -> int:
    # `require_able` has seen that it is there.
    asked = cast(Slurm, job.profile.slurm)
    options = [
        "--parsable",
        f"--job-name={job_name(folder)}",
        f"--nodes={asked.nodes}",
        f"--ntasks={job.profile.processes}",
        f"--ntasks-per-node={job.profile.processes // asked.nodes}",
        f"--cpus-per-task={job.profile.threads}",
        f"--time={asked.minutes}",
        f"--signal=B:USR1@{asked.notice}",
        "--requeue",
        "--open-mode=append",
        f"--output={folder / OUTPUT}",
        "--export=ALL",
    ]
    optional = {"--partition": asked.partition, "--account": asked.account, "--gpus-per-node": asked.gpus or None}
    options += [f"{name}={value}" for name, value in optional.items() if value is not None]
    command = ["sbatch", *options, str(BATCH), sys.executable, str(path)]
    return int(_slurm(*command, env=environment(job)).strip().split(";")[0])


def _slurm(*command: str, env: dict[str, str] | None = None) -> str:
    """Raises: ResourceError: the command is not there, or Slurm refuses."""
    try:
        done = subprocess.run(command, env=env or dict(os.environ), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ResourceError(
            "Slurm's commands are not here", where=command[0], cure="Run it on a login node, or choose a profile with torchrun"
        ) from None
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ResourceError(
            f"Slurm refuses: {said[0]}", where=command[0], cure="Correct the profile's slurm section, or ask its operators"
        )
    return done.stdout


def _say(line: str) -> None:
    print(f"slurm: {line}", file=sys.stderr, flush=True)

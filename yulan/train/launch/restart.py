"""The first act of a Slurm job: `python -m yulan.train.launch.restart JOB`, on the node that trains.

The job file was written where it was submitted, perhaps long ago and for another try. What it says of the machine and of
the checkpoint to begin from is made true again.
"""

import sys
from dataclasses import replace
from pathlib import Path

from yulan.errors import told
from yulan.train.checkpoint.scan import newest
from yulan.train.checkpoint.state import read_state
from yulan.train.determinism import class_after, determinism_of
from yulan.train.launch.job import CHECKPOINTS, Job, read_job, write_job


def refreshed(job: Job) -> Job:
    """Begin at the newest whole checkpoint of the run folder, if there is one.

    Raises: IntegrityError: there are checkpoints and none is whole.
    """
    found, _ = newest(Path(job.folder) / CHECKPOINTS)
    state, determinism = read_state(found or Path(job.start)), determinism_of(job.profile)
    return replace(
        job,
        start=str(found or job.start),
        determinism=determinism,
        trajectory=class_after(state, determinism),
    )


def main() -> None:
    with told():
        write_job(refreshed(read_job(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()

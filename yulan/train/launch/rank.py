"""One training process: `python -m yulan.train.launch.rank JOB`, started by torchrun or, under Slurm, by srun."""

import contextlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from yulan import files
from yulan.errors import YulanError, render
from yulan.train.launch.guard import die_with_parent

SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
"""What torchrun tells a rank, and what srun calls it; batch.sh gives the address."""


PATIENCE = 120.0
"""Seconds for which a Slurm job waits for the trainer's lock: a lost node's may outlive it by a network file system's lease."""


def hold(folder: Path) -> None:
    """Take the trainer's lock for this process's life, on the first rank: whoever waits for a Slurm job may be gone.

    Raises: StateError: another trainer is in the run folder.
    """
    from yulan.train.launch.job import TRAINER

    if os.environ["RANK"] == "0":
        files.lock(folder / TRAINER, PATIENCE if "SLURM_JOB_ID" in os.environ else 0.0)


def leave() -> NoReturn:
    """End this rank. Peers may still be in their last collective; tearing the group down here would only race with them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    die_with_parent()
    if "RANK" not in os.environ:
        os.environ |= {name: os.environ[other] for name, other in SLURM.items() if other in os.environ}
    # After the guard: these imports take seconds.
    from yulan.train.launch.job import FAILURE, read_job
    from yulan.train.loop import train

    job = read_job(Path(sys.argv[1]))
    try:
        hold(Path(job.folder))
        train(job)
    except YulanError as error:
        failure = {"kind": type(error).__name__, "what": error.what, "where": str(error.where or "") or None, "cure": error.cure}
        # On a full or failing disk nothing can be written down; the output still tells.
        with contextlib.suppress(YulanError, OSError):
            files.write_json(Path(job.folder) / FAILURE, failure | {"evidence": list(error.evidence)})
        print(render(error), file=sys.stderr, flush=True)
        os._exit(error.exit_code)
    leave()


if __name__ == "__main__":
    main()

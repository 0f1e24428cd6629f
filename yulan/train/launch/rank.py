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

"""Load a checkpoint and save it as DeepSpeed does by itself: `torchrun native.py JOB INTO 1,2-bf16`, stages and precisions."""

import sys
from dataclasses import replace
from pathlib import Path

import torch.distributed as dist

from yulan.train.backend import connect
from yulan.train.engine import Engine
from yulan.train.launch.job import read_job
from yulan.train.launch.rank import leave
from yulan.train.run import Run

WHOLE = {"universal_checkpoint_version": 0.2, "tp_replicated_parameter_patterns": [".*"]}
"""Nothing is cut by tensor parallelism. Without this hint `ds_to_universal` 0.19.8 fails at parameters without axes."""


def main() -> None:
    job, into = read_job(Path(sys.argv[1])), Path(sys.argv[2])
    connect(job.profile)
    for word in sys.argv[3].split(","):
        stage, _, precision = word.partition("-")
        profile = replace(job.profile, processes=dist.get_world_size(), zero=int(stage), precision=precision or "fp32")
        engine = Engine(job.recipe, job.section, profile)
        state = Run(job=replace(job, profile=profile), engine=engine).restore()
        engine.engine.global_steps = state.global_step
        engine.engine.save_checkpoint(str(into / f"zero{word}"), client_state={"universal_checkpoint_info": WHOLE})
    dist.barrier()
    leave()


if __name__ == "__main__":
    main()

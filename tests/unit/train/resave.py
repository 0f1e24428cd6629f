"""Load checkpoints under several ZeRO stages and save them again: `torchrun resave.py TASK`, one JSON file."""

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch.distributed as dist

from yulan.data.batch import Batches, Micro
from yulan.data.order import Order
from yulan.data.pack import Pack
from yulan.schema import load_json, structure
from yulan.train import reduce
from yulan.train.backend import connect
from yulan.train.checkpoint import stream, write
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.engine import Engine
from yulan.train.launch.job import Job, read_job
from yulan.train.launch.rank import leave
from yulan.train.randomness import seed_all
from yulan.train.run import Run

LR = 0.01
BUCKET = 4096
"""Small, so that a slice is exchanged in several turns."""
# So small that what ranks send is written in many parts, and hashed behind the writing.
stream.BUFFER, write.SMALL = 2000, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    job: str
    """Of a finished run."""
    into: str
    """What is loaded is saved in `zeroS-ranksR/NAME` below it, and after a step in `zeroS-ranksR/NAME-REDUCTION`."""
    stages: tuple[int, ...]
    sources: dict[str, str]
    """Name -> checkpoint."""
    reductions: tuple[str, ...]
    """Ways of taking a step; none: only load and save."""
    grid: int
    """Micro-batches of a step, one window each."""


def micro_batches(job: Job, grid: int) -> list[Micro]:
    pack = Pack.open(Path(job.mix), Path(job.shards))
    batches = Batches(pack=pack, order=Order(windows=pack.windows, key=job.order), batch=grid, grid=grid)
    return [batches.micro(0, index) for index in range(grid)]


def regrid(job: Job, grid: int) -> Job:
    phases = dict(job.recipe.phases) | {job.phase: replace(job.section, batch=grid, grid=grid)}
    return replace(job, recipe=replace(job.recipe, phases=phases))


def resave(run: Run, micros: list[Micro], source: str, folder: Path, reduction: str | None) -> None:
    run = replace(run, job=replace(run.job, start=source))
    state, engine = run.restore(), run.engine
    if reduction is None:
        write_checkpoint(folder, state, engine.parameters, engine.fragment, lead=run.lead)
        return
    # The second one is to leave everything as it is.
    for scale in (1.0 / len(micros), math.inf):
        for index in run.indices():
            engine.backward(micros[index], scale)
        assert math.isfinite(engine.step(LR)) == math.isfinite(scale)
    state = replace(state, adam_step=state.adam_step + 1)
    named = folder.with_name(f"{folder.name}-{reduction}")
    write_checkpoint(named, state, engine.parameters, engine.fragment, lead=run.lead)


def main() -> None:
    task = structure(load_json(Path(sys.argv[1])), Task)
    reduce.BUCKET = BUCKET
    job = regrid(read_job(Path(task.job)), task.grid)
    seed_all(1, 1)
    connect(job.profile)
    ranks, micros, losses = dist.get_world_size(), micro_batches(job, task.grid), []
    for stage in task.stages:
        for reduction in (None, *task.reductions):
            profile = replace(job.profile, processes=ranks, zero=stage, reduction=reduction or "engine")
            run = Run(job=replace(job, profile=profile), engine=Engine(job.recipe, job.section, profile))
            for name, source in task.sources.items():
                resave(run, micros, source, Path(task.into) / f"zero{stage}-ranks{ranks}" / name, reduction)
            losses.append(run.engine.backward(micros[0], 1.0).cross_entropy.item().hex())
    print("losses", *losses)
    dist.barrier()
    leave()


if __name__ == "__main__":
    main()

"""Load a checkpoint under several ZeRO stages, save it again and say the loss: `torchrun resave.py JOB INTO STAGES`."""

import sys
from dataclasses import replace
from pathlib import Path

import torch.distributed as dist

from yulan.data.batch import Batches
from yulan.data.order import Order
from yulan.data.pack import Pack
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.engine import Engine, connect
from yulan.train.launch.job import read_job
from yulan.train.randomness import seed_all
from yulan.train.run import Run


def main() -> None:
    job, into = read_job(Path(sys.argv[1])), Path(sys.argv[2])
    seed_all(1, 1)
    connect(job.profile)
    ranks = dist.get_world_size()
    phase = replace(job.section, batch=12, grid=12)
    pack = Pack.open(Path(job.mix), Path(job.shards))
    order = Order(windows=pack.windows, key=job.order)
    micro = Batches(pack=pack, order=order, batch=phase.batch, grid=phase.grid).micro(0, 0)
    losses = []
    for stage in map(int, sys.argv[3].split(",")):
        profile = replace(job.profile, processes=ranks, zero=stage)
        engine = Engine(job.recipe, phase, profile)
        state = Run(job=replace(job, profile=profile), engine=engine).restore()
        folder = into / f"zero{stage}-ranks{ranks}"
        write_checkpoint(folder, state, engine.parameters, engine.fragment, lead=dist.get_rank() == 0)
        losses.append(engine.backward(micro, 1.0).cross_entropy.item().hex())
    print("losses", *losses)
    dist.barrier()


if __name__ == "__main__":
    main()

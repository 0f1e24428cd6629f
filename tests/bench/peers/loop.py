"""A bare torch loop over the same module, groups, schedule, clipping and batches; DDP where there are several ranks."""

import contextlib
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.bench.baton import Baton
from yulan.data.batch import NO_LOSS, Batches, Micro
from yulan.data.order import Order
from yulan.data.pack import Pack
from yulan.model.decoder import Decoder
from yulan.model.groups import groups_of
from yulan.train.launch.job import Job, read_job
from yulan.train.schedule import rate_in


def decoder_of(job: Job) -> tuple[Decoder, torch.optim.AdamW]:
    decoder, optimizer = Decoder(job.recipe.model), job.recipe.optimizer
    for path in sorted(Path(job.start).glob("weights-*.safetensors")):
        decoder.load_state_dict(load_file(path), strict=False)
    own = dict(decoder.named_parameters())
    groups = [
        {"params": [own[p.name] for p in each.parameters], "multiplier": each.multiplier, "weight_decay": each.weight_decay}
        for each in groups_of(job.recipe.model, optimizer)
    ]
    return decoder, torch.optim.AdamW(groups, lr=0.0, betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.eps)


def batches_of(job: Job) -> Batches:
    pack = Pack.open(Path(job.mix), Path(job.shards))
    order = Order(windows=pack.windows, key=job.order)
    return Batches(pack=pack, order=order, batch=job.section.batch, grid=job.section.grid)


def inputs_of(micro: Micro) -> list[Tensor]:
    """Flattened: ids, positions, bounds, targets."""
    return [torch.from_numpy(each.reshape(-1)) for each in (micro.inputs, micro.positions, micro.cu_seqlens, micro.targets)]


def main() -> None:
    folder, rank, ranks = Path(sys.argv[1]), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    job = read_job(folder.parent / "job.json")
    torch.set_num_threads(job.profile.threads)
    decoder, adamw = decoder_of(job)
    batches, clip = batches_of(job), job.recipe.optimizer.clip
    module: nn.Module = decoder
    if ranks > 1:
        dist.init_process_group("gloo")
        module = nn.parallel.DistributedDataParallel(decoder)
    baton, share = Baton(folder) if rank == 0 else None, job.section.grid // ranks
    for step in range(job.steps):
        micros = batches.micros(step * job.section.batch, range(rank * share, (rank + 1) * share))
        count = torch.tensor(sum(int((micro.targets != NO_LOSS).sum()) for micro in micros))
        if ranks > 1:
            dist.all_reduce(count)
        for number, micro in enumerate(micros, 1):
            ids, positions, bounds, targets = inputs_of(micro)
            with contextlib.nullcontext() if ranks == 1 or number == share else module.no_sync():
                loss = module(ids, positions, bounds, job.section.rope_theta, "sdpa", targets, job.recipe.optimizer.z_loss)
                (loss.total * ranks / count).backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), clip)
        for group in adamw.param_groups:
            group["lr"] = rate_in(job.phase, step + 1, job.recipe) * group["multiplier"]
        adamw.step()
        adamw.zero_grad()
        if baton:
            baton.step()


if __name__ == "__main__":
    main()

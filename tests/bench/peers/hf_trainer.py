"""transformers' own Trainer around the same module, groups, schedule, clipping and batches; it uses DDP on several ranks."""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from tests.bench.baton import Baton
from tests.bench.peers.loop import batches_of, decoder_of, inputs_of
from yulan.train.launch.job import Job, read_job
from yulan.train.schedule import rate_in


class Micros(Dataset[dict[str, Tensor]]):
    """The phase's micro-batches, one after the other."""

    def __init__(self, job: Job) -> None:
        self.batches, self.steps = batches_of(job), job.steps

    def __len__(self) -> int:
        return self.steps * self.batches.grid

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        step, index = divmod(number, self.batches.grid)
        micro = self.batches.micro(step * self.batches.batch, index)
        return dict(zip(("ids", "positions", "bounds", "labels"), inputs_of(micro), strict=True))


class OwnLoss(Trainer):
    job: Job

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Tensor:
        ids, positions, bounds, labels = (inputs[name] for name in ("ids", "positions", "bounds", "labels"))
        loss = model(ids, positions, bounds, self.job.section.rope_theta, "sdpa", labels, self.job.recipe.optimizer.z_loss)
        return loss.total * self.accelerator.num_processes / num_items_in_batch


class Turns(TrainerCallback):
    def __init__(self, baton: Baton | None) -> None:
        self.baton = baton

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if self.baton:
            self.baton.step()


def main() -> None:
    folder, ranks = Path(sys.argv[1]), int(os.environ["WORLD_SIZE"])
    job = read_job(folder.parent / "job.json")
    torch.set_num_threads(job.profile.threads)
    decoder, adamw = decoder_of(job)
    for group in adamw.param_groups:
        group["lr"] = group["multiplier"]
    rate = torch.optim.lr_scheduler.LambdaLR(adamw, lambda step: rate_in(job.phase, step + 1, job.recipe))
    told = TrainingArguments(
        output_dir=str(folder / "out"), use_cpu=True, per_device_train_batch_size=1, max_steps=job.steps,
        gradient_accumulation_steps=job.section.grid // ranks, max_grad_norm=job.recipe.optimizer.clip, disable_tqdm=True,
        save_strategy="no", logging_strategy="no", report_to=[], remove_unused_columns=False, dataloader_pin_memory=False,
        ddp_backend="gloo" if ranks > 1 else None,
    )  # fmt: skip
    trainer = OwnLoss(decoder, told, lambda items: items[0], Micros(job), optimizers=(adamw, rate))
    trainer.job, trainer.model_accepts_loss_kwargs = job, True
    trainer.add_callback(Turns(Baton(folder) if int(os.environ["RANK"]) == 0 else None))
    trainer.train()


if __name__ == "__main__":
    main()

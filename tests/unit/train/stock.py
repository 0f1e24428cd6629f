"""Ten steps of ours and of each stock tool here from one checkpoint: `torchrun stock.py JOB EXPORTS OUT`; writes OUT.

Windows are single documents, so that the Hugging Face model, which has one document a row, sees the same as ours.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from yulan.data.batch import Micro
from yulan.model.decoder import Decoder
from yulan.train.backend import connect, deepspeed
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.engine import Engine
from yulan.train.launch.job import Job, read_job
from yulan.train.run import Run
from yulan.train.schedule import learning_rate

STEPS, BATCH = 10, 8
Outcome = tuple[list[float], dict[str, Tensor]]
"""Loss of each step, and the weights after them."""


def micros(job: Job) -> list[Micro]:
    draw = np.random.default_rng(7)
    width = job.section.context
    made = []
    for step in range(STEPS):
        tokens = draw.integers(3, 200, (BATCH, width + 1)) % (10 + 3 * np.arange(width + 1))
        positions = np.tile(np.arange(width), (BATCH, 1))
        bounds = (np.arange(BATCH + 1) * width).astype(np.int32)
        made.append(
            Micro(
                rows=np.arange(BATCH) + step * BATCH,
                inputs=tokens[:, :-1],
                last=tokens[:, -1],
                targets=tokens[:, 1:],
                cu_seqlens=bounds,
                positions=positions,
            )
        )
    return made


def rates(job: Job, begin: int) -> Iterator[float]:
    return (learning_rate(begin + step, job.recipe.schedule, None) for step in range(1, STEPS + 1))


def ours(job: Job) -> Outcome:
    phase = replace(job.section, batch=BATCH, grid=dist.get_world_size())
    job = replace(job, profile=replace(job.profile, processes=dist.get_world_size(), zero=1))
    engine = Engine(job.recipe, phase, job.profile)
    state = Run(job=job, engine=engine).restore()
    losses = []
    for micro, lr in zip(micros(job), rates(job, state.global_step), strict=True):
        loss = engine.backward(micro, 1.0 / micro.targets.size)
        engine.step(lr)
        losses.append(loss.cross_entropy.item() / micro.targets.size)
    return losses, {name: tensor.detach().clone() for name, tensor in engine.tensors.items()}


def groups(job: Job, tensors: dict[str, Tensor]) -> list[dict[str, Any]]:
    """As the stock user writes them, from what optimizer.pt says: names, decay and rate."""
    saved = torch.load(Path(sys.argv[2]) / "hf-trainer" / "optimizer.pt", weights_only=True)["param_groups"]
    return [
        {
            "params": [(name, tensors[name]) for name in group["param_names"]],
            "weight_decay": group["weight_decay"],
            "lr": group["initial_lr"],
            "multiplier": group["initial_lr"] / job.recipe.schedule.peak,
        }
        for group in saved
    ]


def adamw(job: Job, tensors: dict[str, Tensor], *, named: bool = True) -> torch.optim.AdamW:
    made = groups(job, tensors)
    for group in made:
        if not named:
            group["params"] = [tensor for _, tensor in group["params"]]
    optimizer = job.recipe.optimizer
    return torch.optim.AdamW(made, betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.eps)


def walk(job: Job, begin: int, decoder: Decoder, optimizer: Any, advance: Callable[[Tensor], None]) -> Outcome:
    losses = []
    for micro, lr in zip(micros(job), rates(job, begin), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = lr * group["multiplier"]
        inputs = [torch.from_numpy(each.reshape(-1)) for each in (micro.tokens[:, :-1], micro.positions, micro.cu_seqlens)]
        loss = decoder(*inputs, job.section.rope_theta, "sdpa", torch.from_numpy(micro.targets.reshape(-1)), 0.0)
        advance(loss.total / micro.targets.size)
        losses.append(loss.cross_entropy.item() / micro.targets.size)
    return losses, {}


def universal(job: Job, folder: Path, begin: int) -> Outcome:
    """DeepSpeed's own load_checkpoint, under ZeRO-2."""
    decoder = Decoder(job.recipe.model)
    tensors = dict(decoder.named_parameters())
    optimizer = adamw(job, tensors, named=False)
    config = {
        "train_batch_size": BATCH,
        "train_micro_batch_size_per_gpu": BATCH // dist.get_world_size(),
        "gradient_clipping": job.recipe.optimizer.clip,
        "zero_optimization": {"stage": 2},
        "zero_allow_untested_optimizer": True,
        "checkpoint": {"load_universal": True},
    }
    engine, *_ = deepspeed().initialize(model=decoder, optimizer=optimizer, config=config)
    path, _ = engine.load_checkpoint(str(folder))
    assert path is not None
    assert engine.global_steps == begin

    def advance(loss: Tensor) -> None:
        engine.backward(loss)
        engine.step()

    losses, _ = walk(job, begin, engine, optimizer, advance)
    return losses, {name: tensor.detach().clone() for name, tensor in tensors.items()}


def plain(job: Job, folder: Path, begin: int) -> Outcome:
    """torch alone: dcp.load into a module and an AdamW."""
    decoder = Decoder(job.recipe.model)
    tensors = dict(decoder.named_parameters())
    optimizer = adamw(job, tensors, named=False)
    model_state, optimizer_state = get_state_dict(decoder, optimizer)
    for group in optimizer_state["param_groups"]:
        group.pop("multiplier")
    state = {"model": model_state, "optimizer": optimizer_state}
    dcp.load(state, checkpoint_id=folder)
    multipliers = [group["multiplier"] for group in optimizer.param_groups]
    set_state_dict(decoder, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    for group, multiplier in zip(optimizer.param_groups, multipliers, strict=True):
        group["multiplier"] = multiplier

    def advance(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), job.recipe.optimizer.clip)
        optimizer.step()

    losses, _ = walk(job, begin, decoder, optimizer, advance)
    return losses, {name: tensor.detach().clone() for name, tensor in tensors.items()}


def trainer(job: Job, folder: Path, begin: int) -> Outcome:
    """The Hugging Face Trainer, resumed."""
    from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments

    import yulan.hf  # noqa: F401 (registers the model type)

    rows = [{"input_ids": row, "labels": row} for micro in micros(job) for row in micro.tokens]
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    tensors = dict(model.named_parameters())
    optimizer = adamw(job, tensors)
    peak = job.recipe.schedule.peak
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate(step + 1, job.recipe.schedule, None) / peak
    )
    arguments = TrainingArguments(
        output_dir=str(folder.parent / "trainer"),
        per_device_train_batch_size=BATCH,
        max_steps=begin + STEPS,
        max_grad_norm=job.recipe.optimizer.clip,
        ignore_data_skip=True,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )

    losses = []

    class InOrder(Trainer):
        """Takes the rows as they come, and tells each loss."""

        def _get_train_sampler(self, *_: object) -> torch.utils.data.Sampler:
            return torch.utils.data.SequentialSampler(rows)

        def compute_loss(self, *words: Any, **named: Any) -> Tensor:
            loss = super().compute_loss(*words, **named)
            losses.append(loss.item())
            return loss

    made = InOrder(model=model, args=arguments, train_dataset=rows, optimizers=(optimizer, schedule))
    made.train(resume_from_checkpoint=str(folder))
    return losses, {name: tensor.detach().clone() for name, tensor in tensors.items()}


def apart(one: dict[str, Tensor], other: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """|one - other| over |one - start|: what part of ten steps' way lies between two ends."""
    off = sum(float((one[name] - other[name]).double().square().sum()) for name in one)
    way = sum(float((one[name] - start[name]).double().square().sum()) for name in one)
    return (off / way) ** 0.5


def main() -> None:
    job, exports = read_job(Path(sys.argv[1])), Path(sys.argv[2])
    job = replace(job, recipe=replace(job.recipe, optimizer=replace(job.recipe.optimizer, z_loss=0.0)))
    connect(job.profile)
    opened = read_checkpoint(Path(job.start))
    begin = opened.state.global_step
    losses, ends = ours(job)
    start = {name: opened.tensor(name) for name in ends}
    told = {}
    tools = {"universal": universal, "dcp": plain} | ({"hf-trainer": trainer} if find_spec("accelerate") else {})
    for name, work in tools.items():
        theirs, weights = work(job, exports / name, begin)
        told[name] = {"ours": losses, "theirs": theirs, "apart": apart(ends, weights, start)}
    Path(sys.argv[3]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()

"""A short training in this process, one thread: the trainer's own decoder, loss, AdamW groups, schedule and batches.

What the trainer has beside these (ranks, checkpoints, logs) is left out, so that hundreds of runs fit into minutes.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from yulan.data.batch import Batches, Micro
from yulan.model.decoder import Decoder
from yulan.model.groups import groups_of
from yulan.recipe.model import Model
from yulan.recipe.training import Optimizer
from yulan.train.checkpoint.read import Checkpoint
from yulan.train.checkpoint.stream import KINDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What one optimizer step told."""

    loss: float
    """Cross-entropy, nats a token; the z-loss is not in it."""
    norm: float
    """Of the gradient, before clipping."""


class Trainer:
    """A decoder and its AdamW. Parameters that do not require a gradient stay as they are."""

    def __init__(self, decoder: Decoder, model: Model, optimizer: Optimizer, rope_theta: float) -> None:
        self.decoder, self.settings, self.rope_theta = decoder, optimizer, rope_theta
        own = dict(decoder.named_parameters())
        groups: list[dict[str, Any]] = []
        for group in groups_of(model, optimizer):
            learned = [own[p.name] for p in group.parameters if own[p.name].requires_grad]
            if learned:
                groups.append({"params": learned, "multiplier": group.multiplier, "weight_decay": group.weight_decay})
        self.learned: list[Tensor] = [tensor for group in groups for tensor in group["params"]]
        self.adamw = torch.optim.AdamW(groups, lr=0.0, betas=(optimizer.beta1, optimizer.beta2), eps=optimizer.eps)

    @torch.no_grad()
    def load(self, checkpoint: Checkpoint, updates: int) -> None:
        """Take over weights and moments after so many updates."""
        for name, tensor in self.decoder.named_parameters():
            tensor.copy_(checkpoint.tensor(name))
            moments = {kind: checkpoint.tensor(name, kind).clone() for kind in KINDS[1:]}
            self.adamw.state[tensor] = {"step": torch.tensor(float(updates)), **moments}

    def step(self, micros: list[Micro], lr: float) -> Step:
        """Forward, backward and update at the scheduled rate; a gradient that is not finite updates nothing."""
        targets = sum(int((micro.targets >= 0).sum()) for micro in micros)
        total = 0.0
        for micro in micros:
            loss = self.decoder(
                torch.from_numpy(micro.inputs.reshape(-1)),
                torch.from_numpy(micro.positions.reshape(-1)),
                torch.from_numpy(micro.cu_seqlens),
                self.rope_theta,
                "sdpa",
                torch.from_numpy(micro.targets.reshape(-1)),
                self.settings.z_loss,
            )
            (loss.total / targets).backward()
            total += float(loss.cross_entropy)
        norm = float(torch.nn.utils.clip_grad_norm_(self.learned, self.settings.clip))
        if math.isfinite(norm):
            for group in self.adamw.param_groups:
                group["lr"] = lr * group["multiplier"]
            self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        return Step(loss=total / targets, norm=norm)


def each_step(trainer: Trainer, batches: Batches, rate: Callable[[int], float], first: int, count: int) -> Iterator[Step]:
    """Steps `first` + 1 to `first` + `count` of a path, over the batches from their beginning."""
    for number in range(count):
        micros = batches.micros(number * batches.batch, range(batches.grid))
        yield trainer.step(micros, rate(first + number + 1))


class Watched:
    """Root mean square of the residual stream after each layer, of the last forward pass."""

    def __init__(self, decoder: Decoder) -> None:
        self.rms: list[float] = [0.0] * len(decoder.model.layers)
        for index, layer in enumerate(decoder.model.layers):
            layer.register_forward_hook(self._hook(index))

    def _hook(self, index: int) -> Callable[[Any, Any, Tensor], None]:
        def hook(_: Any, __: Any, out: Tensor) -> None:
            self.rms[index] = float(out.detach().double().square().mean().sqrt())

        return hook

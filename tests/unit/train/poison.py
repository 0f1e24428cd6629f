"""Trainings whose gradients go wrong at given steps, on the ranks of one launch: `torchrun poison.py TASK`, one JSON file.

What is spoilt is what a rank's own backward pass gives: the loss of the grid's last micro-batch, and its gradient.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from unittest.mock import patch

import torch.distributed as dist

from yulan.data.batch import Batches, Micro
from yulan.model.loss import Loss
from yulan.schema import load_json, structure
from yulan.train.backend import connect
from yulan.train.engine import Engine
from yulan.train.launch.job import read_job
from yulan.train.launch.rank import leave


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    jobs: tuple[str, ...]
    spoilt: Mapping[str, str]
    """Step of the phase -> factor on loss and gradient, as a text: JSON has no NaN."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Spoilt(Micro):
    factor: float


@contextlib.contextmanager
def spoilt(factors: Mapping[int, float]) -> Iterator[None]:
    micros, backward = Batches.micros, Engine.backward

    def mark(self: Batches, consumed: int, indices: range) -> list[Micro]:
        made, step = micros(self, consumed, indices), consumed // self.batch + 1
        if indices.stop == self.grid and step in factors:
            made[-1] = Spoilt(factor=factors[step], **{each.name: getattr(made[-1], each.name) for each in fields(Micro)})
        return made

    def spoil(self: Engine, given: Micro, scale: float) -> Loss:
        if not isinstance(given, Spoilt):
            return backward(self, given, scale)
        loss = backward(self, given, scale * given.factor)
        return loss._replace(cross_entropy=loss.cross_entropy * given.factor)

    with patch.object(Batches, "micros", mark), patch.object(Engine, "backward", spoil):
        yield


def main() -> None:
    from yulan.train.loop import train

    task = structure(load_json(Path(sys.argv[1])), Task)
    jobs = [read_job(Path(each)) for each in task.jobs]
    connect(jobs[0].profile)
    for job in jobs:
        with spoilt({int(step): float(factor) for step, factor in task.spoilt.items()}):
            train(job)
        dist.barrier()
    leave()


if __name__ == "__main__":
    main()

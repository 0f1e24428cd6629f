"""What `reduction: exact` costs against the engine's own: `python -m tests.bench.reduction [--ranks 2] [--zero 1] [--pairs 60]`.

Both engines live in the same processes, with the same weights, and take turns on the same micro-batches of nano's first
phase (random ids); a pair is one step of each, in changing order. Printed: medians, and the median ratio of the pairs
with its 95 % bootstrap interval.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.bench import pairs, ranks
from tests.bench.pairs import Aim, Line

WARMUP = 3
"""Pairs that are not counted."""


def lines(processes: int = 2, zero: int = 1, count: int = 60) -> list[Line]:
    from yulan.recipe import read_recipe
    from yulan.train.checkpoint.initial import write_initial

    with tempfile.TemporaryDirectory() as folder:
        parent = write_initial(Path(folder), read_recipe(ranks.ROOT / "recipes" / "nano" / "recipe.yaml"))
        arguments = [f"--parent={parent}", f"--ranks={processes}", f"--zero={zero}", f"--pairs={count}"]
        return ranks.lines_of("tests.bench.reduction", processes, *arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--zero", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--parent", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.parent is None:
        pairs.show(lines(told.ranks, told.zero, told.pairs))
    else:
        measure(told.parent, told.ranks, told.zero, told.pairs)


def measure(parent: Path, processes: int, zero: int, count: int) -> None:
    import torch
    import torch.distributed as dist

    from yulan.data.batch import Micro
    from yulan.profile import load_profile
    from yulan.recipe import read_recipe
    from yulan.train.backend import connect
    from yulan.train.checkpoint.read import read_checkpoint
    from yulan.train.engine import Engine

    recipe = read_recipe(ranks.ROOT / "recipes" / "nano" / "recipe.yaml")
    phase, profile = recipe.phase("phase-01"), replace(load_profile("cpu-1"), processes=processes, zero=zero)
    torch.set_num_threads(1)
    connect(profile)
    engines = {}
    for reduction in ("engine", "exact"):
        engine = engines[reduction] = Engine(recipe, phase, replace(profile, reduction=reduction))
        engine.load(read_checkpoint(parent, engine.parameters), 0)
    draw = np.random.default_rng(dist.get_rank())
    windows = phase.batch // phase.grid
    tokens = draw.integers(0, recipe.model.vocab_size, (phase.grid // processes, windows, phase.context + 1))
    bounds = np.arange(0, windows * phase.context + 1, phase.context // 2, dtype=np.int32)
    positions = np.tile(np.arange(phase.context // 2), 2 * windows).reshape(windows, phase.context)
    micros = [
        Micro(
            rows=np.arange(windows),
            inputs=each[:, :-1],
            last=each[:, -1],
            targets=each[:, 1:],
            cu_seqlens=bounds,
            positions=positions,
        )
        for each in tokens
    ]

    def step(engine: Engine) -> None:
        dist.barrier()
        for micro in micros:
            engine.backward(micro, 1.0 / (phase.batch * phase.context))
        engine.step(1.0e-3)
        dist.barrier()

    times = pairs.interleave({name: lambda own=own: step(own) for name, own in engines.items()}, count, warmup=WARMUP)
    if dist.get_rank() == 0:
        what, aim = f"reduction: exact / engine, {processes} ranks, ZeRO-{zero}", Aim(at="most", value=1.15)
        ranks.tell([pairs.ratio(what, times["exact"], times["engine"], told=pairs.milliseconds, aim=aim)])
    dist.barrier()


if __name__ == "__main__":
    main()

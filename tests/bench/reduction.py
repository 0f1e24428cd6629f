"""What `reduction: exact` costs against the engine's own: `python -m tests.bench.reduction [--ranks 2] [--zero 1] [--pairs 60]`.

Both engines live in the same processes, with the same weights, and take turns on the same micro-batches of nano's first
phase (random ids); a pair is one step of each, in changing order. Printed: medians, and the median ratio of the pairs
with its 95 % bootstrap interval.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
WARMUP = 3
"""Pairs that are not counted."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--zero", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--parent", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.parent is not None:
        measure(Path(told.parent), told.ranks, told.zero, told.pairs)
        return
    from yulan.recipe import read_recipe
    from yulan.train.checkpoint.initial import write_initial

    with tempfile.TemporaryDirectory() as folder:
        parent = write_initial(Path(folder), read_recipe(ROOT / "recipes" / "nano" / "recipe.yaml"))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
        command += [f"--nproc-per-node={told.ranks}", "--module", "tests.bench.reduction", f"--parent={parent}"]
        command += [f"--ranks={told.ranks}", f"--zero={told.zero}", f"--pairs={told.pairs}"]
        own = {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        sys.exit(subprocess.run(command, env=os.environ | own, check=False).returncode)


def measure(parent: Path, ranks: int, zero: int, pairs: int) -> None:
    import torch
    import torch.distributed as dist

    from yulan.data.batch import Micro
    from yulan.profile import load_profile
    from yulan.recipe import read_recipe
    from yulan.train.checkpoint.read import read_checkpoint
    from yulan.train.engine import Engine, connect

    recipe = read_recipe(ROOT / "recipes" / "nano" / "recipe.yaml")
    phase, profile = recipe.phase("phase-01"), replace(load_profile("cpu-1"), processes=ranks, zero=zero)
    torch.set_num_threads(1)
    connect(profile)
    engines = {}
    for reduction in ("engine", "exact"):
        engine = engines[reduction] = Engine(recipe, phase, replace(profile, reduction=reduction))
        engine.load(read_checkpoint(parent, engine.parameters), 0)
    draw = np.random.default_rng(dist.get_rank())
    windows = phase.batch // phase.grid
    tokens = draw.integers(0, recipe.model.vocab_size, (phase.grid // ranks, windows, phase.context + 1))
    bounds = np.arange(0, windows * phase.context + 1, phase.context // 2, dtype=np.int32)
    positions = np.tile(np.arange(phase.context // 2), 2 * windows).reshape(windows, phase.context)
    micros = [
        Micro(rows=np.arange(windows), tokens=each, targets=each[:, 1:], cu_seqlens=bounds, positions=positions)
        for each in tokens
    ]

    def seconds(engine: Engine) -> float:
        dist.barrier()
        began = time.perf_counter()
        for micro in micros:
            engine.backward(micro, 1.0 / (phase.batch * phase.context))
        engine.step(1.0e-3)
        dist.barrier()
        return time.perf_counter() - began

    times = np.empty((pairs + WARMUP, 2))
    for number, pair in enumerate(times):
        for place in (0, 1) if number % 2 else (1, 0):
            pair[place] = seconds(engines["exact" if place else "engine"])
    if dist.get_rank() == 0:
        report(times[WARMUP:], ranks, zero)
    dist.barrier()


def report(times: np.ndarray, ranks: int, zero: int) -> None:
    ratios = times[:, 1] / times[:, 0]
    draw = np.random.default_rng(0)
    medians = np.median(ratios[draw.integers(0, len(ratios), (10_000, len(ratios)))], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    engine, exact = np.median(times, axis=0) * 1000
    print(f"{ranks} ranks, ZeRO-{zero}, {len(times)} pairs: engine {engine:.0f} ms, exact {exact:.0f} ms a step")
    print(f"exact / engine: {np.median(ratios):.3f}, 95 % interval {low:.3f} ... {high:.3f}")


if __name__ == "__main__":
    main()

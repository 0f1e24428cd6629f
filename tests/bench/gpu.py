"""Tokens/s and MFU of one device at the real shape: `python -m tests.bench.gpu`, or `--recipe nano --profile cpu-1` to try it.

Whole steps of the trainer's own engine: packed documents, backward of so many micro-batches, one update. Warm-up steps are not
counted, the rest by their median. MFU divides by what the maker states for dense bf16; its FLOPs are PaLM's
(yulan/model/shape.py), once without and once with the layers that are computed again.
"""

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from yulan.data.batch import Micro
from yulan.layout import find_root, recipe_file
from yulan.model.shape import Parameter, alpha_start, flops_per_token
from yulan.plan import recompute_per_token
from yulan.plan.need import need
from yulan.profile import Profile, load_profile
from yulan.recipe import Recipe, read_recipe
from yulan.train.backend import connect
from yulan.train.engine import Engine
from yulan.train.randomness import seed_all

PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "A800": 312e12, "RTX 4090": 165e12}
"""Dense bf16 FLOP/s, as the maker states them; the first name that occurs in the device's."""
DOCUMENT = 900
"""Mean length in tokens; lengths are drawn exponentially, and cut at windows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    recipe: Recipe
    phase: str
    profile: Profile
    """Of one process."""
    micros: int
    """Micro-batches in a step. One of eight GPUs has 42 of the real grid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    tokens_per_second: float
    useful: float
    """FLOPs a token, recomputation not counted."""
    again: float
    """FLOPs a token of layers that are computed again."""
    seconds: tuple[float, ...]
    """Of each timed step."""
    loss: float
    """A token, in the last step."""
    memory: int
    """Most bytes the allocator had given out; 0 on a CPU."""
    planned: int
    """Bytes that `yulan plan` says."""

    def mfu(self, peak: float, *, recompute: bool = False) -> float:
        return self.tokens_per_second * (self.useful + recompute * self.again) / peak


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Stands for a checkpoint: start values drawn on the spot, not byte for byte those of `init`, which take minutes."""

    recipe: Recipe
    parameters: dict[str, Parameter]
    has_moments: bool = False

    def tensor(self, name: str, kind: str) -> Tensor:
        parameter, model = self.parameters[name], self.recipe.model
        if parameter.kind == "alpha":
            return torch.full(parameter.shape, alpha_start(model, name))
        if parameter.kind in ("bias", "norm"):
            return torch.full(parameter.shape, float(parameter.kind == "norm"))
        return torch.randn(parameter.shape) * model.init_std


def peak_of(device: str) -> float | None:
    return next((peak for name, peak in PEAKS.items() if name in device), None)


def micro_batch(windows: int, context: int, vocabulary: int, draw: np.random.Generator) -> Micro:
    """Documents of drawn lengths, none over the edge of a window."""
    ends = []
    for window in range(windows):
        cuts = np.cumsum(np.maximum(1, draw.exponential(DOCUMENT, 8 * context // DOCUMENT + 8).astype(int)))
        ends += [window * context + int(cut) for cut in cuts if cut < context] + [(window + 1) * context]
    bounds = np.array([0, *ends], dtype=np.int32)
    positions = np.concatenate([np.arange(length) for length in np.diff(bounds)]).reshape(windows, context)
    tokens = draw.integers(3, vocabulary, (windows, context + 1))
    return Micro(
        rows=np.arange(windows),
        inputs=tokens[:, :-1],
        last=tokens[:, -1],
        targets=tokens[:, 1:],
        cu_seqlens=bounds,
        positions=positions,
    )


def measure(shape: Shape, warmup: int, rounds: int) -> Measured:
    """Raises: what the profile asks for is not there."""
    recipe, profile, gpu = shape.recipe, shape.profile, shape.profile.device == "cuda"
    phase = recipe.phase(shape.phase)
    windows = phase.batch // phase.grid
    phase = replace(phase, batch=windows * shape.micros, grid=shape.micros)
    alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29507"}
    os.environ |= alone | {"DS_ACCELERATOR": profile.device, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    seed_all(recipe.seed, profile.threads)
    connect(profile)
    engine = Engine(recipe, phase, profile)
    engine.load(Start(recipe=recipe, parameters={p.name: p for p in engine.parameters}), 0)  # type: ignore[arg-type]
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    draw, seconds, loss = np.random.default_rng(0), [], 0.0
    tokens = phase.batch * phase.context
    for _ in range(warmup + rounds):
        micros = [micro_batch(windows, phase.context, recipe.model.vocab_size, draw) for _ in range(shape.micros)]
        if gpu:
            torch.cuda.synchronize()
        began = time.perf_counter()
        losses = [engine.backward(micro, 1.0 / tokens) for micro in micros]
        engine.step(recipe.schedule.peak / 100)
        if gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
        loss = sum(float(each.cross_entropy) for each in losses) / tokens
    layers, every = recipe.model.layers, profile.recompute
    share = (layers - -(-layers // every)) / layers if every else 0.0
    return Measured(
        tokens_per_second=tokens / statistics.median(seconds[warmup:]),
        useful=flops_per_token(recipe.model, phase.context),
        again=share * recompute_per_token(recipe.model, phase.context),
        seconds=tuple(seconds[warmup:]),
        loss=loss,
        memory=torch.cuda.max_memory_allocated() if gpu else 0,
        planned=need(recipe.model, phase, profile).needed,
    )


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--recipe", default="yulan-mini")
    words.add_argument("--phase", default="phase-01")
    words.add_argument("--profile", default="gpu-1-80")
    words.add_argument("--recompute", type=int, help="instead of the profile's")
    words.add_argument("--micros", type=int, default=42)
    words.add_argument("--warmup", type=int, default=2)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--peak", type=float, help="FLOP/s of the device; known for " + ", ".join(PEAKS))
    asked = words.parse_args()
    profile = replace(load_profile(asked.profile), processes=1)
    if asked.recompute is not None:
        profile = replace(profile, recompute=asked.recompute)
    if profile.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device is here: nothing was measured")
    device = torch.cuda.get_device_name() if profile.device == "cuda" else "cpu"
    peak = asked.peak or peak_of(device)
    if peak is None:
        sys.exit(f"give --peak: what {device} can do is not known")
    recipe = read_recipe(recipe_file(find_root(), asked.recipe))
    found = measure(Shape(recipe=recipe, phase=asked.phase, profile=profile, micros=asked.micros), asked.warmup, asked.rounds)
    spread = f"{min(found.seconds):.2f}-{max(found.seconds):.2f} s"
    print(f"{device}, torch {torch.__version__}: {asked.recipe} {asked.phase}, {asked.profile}, recompute {profile.recompute}")
    print(f"{found.tokens_per_second:,.0f} tokens/s, median of {asked.rounds} steps of {asked.micros} micro-batches ({spread})")
    told = f"{found.mfu(peak):.1%} of {peak:.3g} FLOP/s; {found.mfu(peak, recompute=True):.1%} with what is computed again"
    print(f"MFU {told}; loss {found.loss:.3f}")
    print(f"memory: {found.memory:,} bytes at most, {found.planned:,} planned")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

"""Build engines and count their real buffers: `torchrun count_states.py CHECKPOINT STAGES` prints rows of JSON on rank 0."""

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch.distributed as dist
from torch import Tensor

from tests.unit.train.conftest import profile, small_recipe
from yulan.data.batch import Micro
from yulan.recipe import Phase
from yulan.train.backend import connect
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.engine import Engine
from yulan.train.launch.rank import leave


def size(tensors: Iterable[Tensor | None]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if t is not None)


def micro(phase: Phase) -> Micro:
    tokens = np.random.default_rng(0).integers(3, 300, (1, phase.context + 1))
    bounds = np.array([0, phase.context], dtype=np.int32)
    positions = np.arange(phase.context)[None]
    return Micro(
        rows=np.zeros(1, dtype=np.int64),
        inputs=tokens[:, :-1],
        last=tokens[:, -1],
        targets=tokens[:, 1:],
        cu_seqlens=bounds,
        positions=positions,
    )


def count(engine: Engine, phase: Phase, zero: int) -> dict[str, int]:
    """Bytes by kind, at the fullest moment of a step: gradients whole under ZeRO-1 until the last micro-batch is in."""
    tensors, shard = list(engine.tensors.values()), engine.zero
    engine.backward(micro(phase), 1.0)
    gradients = size(t.grad for t in tensors)
    for _ in range(phase.grid // engine.profile.processes - 1):
        engine.backward(micro(phase), 1.0)
    weights, master = size(tensors), 0
    if zero in (1, 2):
        master = size(shard.single_partition_of_fp32_groups)
        gradients = max(gradients, sum(size(found) for found in shard.averaged_gradients.values()))
    elif zero == 3:
        weights = size(t.ds_tensor for t in tensors) + 4 * sum(t.ds_numel for t in shard.persistent_parameters)
        master = size(shard.fp32_partitioned_groups_flat)
        gradients = size(vars(shard)["_DeepSpeedZeroOptimizer_Stage3__param_id_to_grad_partition"].values())
    moments = size(state[kind] for state in engine.adamw.state.values() for kind in ("exp_avg", "exp_avg_sq"))
    engine.step(0.0)
    return {"zero": zero, "weights": weights, "gradients": gradients, "master": master, "moments": moments}


def main() -> None:
    connect(profile(1))
    recipe, checkpoint = small_recipe(), read_checkpoint(Path(sys.argv[1]))
    phase = replace(recipe.phase("phase-01"), batch=8, grid=8)
    for zero in map(int, sys.argv[2].split(",")):
        engine = Engine(recipe, phase, replace(profile(1), processes=dist.get_world_size(), zero=zero))
        engine.load(checkpoint, 0)
        row = count(engine, phase, zero)
        if dist.get_rank() == 0:
            print(json.dumps(row), flush=True)
    dist.barrier()
    leave()


if __name__ == "__main__":
    main()

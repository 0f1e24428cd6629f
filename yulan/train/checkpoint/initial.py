"""The checkpoint before any step."""

from pathlib import Path

import torch
from torch import Tensor

from yulan.model.init import start_values
from yulan.model.shape import parameters
from yulan.recipe import Recipe
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import FORMAT, GENESIS, Chain, Cursor, State
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.randomness import save_random


def write_initial(checkpoints: Path, recipe: Recipe) -> Path:
    """Write `step-000000`: start values and no moments; one tensor is in memory at a time."""
    torch.manual_seed(recipe.seed)
    rng = save_random()
    values = start_values(recipe.model, recipe.seed)
    current: tuple[str, Tensor] = next(values)

    def fragment(name: str, kind: str) -> tuple[int, Tensor]:
        nonlocal current
        while current[0] != name:
            current = next(values)
        return 0, current[1].view(-1)

    state = State(
        format=FORMAT,
        recipe=recipe.name,
        keys=recipe.keys("seed", "model"),
        global_step=0,
        phase_step=0,
        tokens=0,
        cursor=Cursor(phase=None, windows=0),
        skipped=(),
        adam_step=0,
        lr=0.0,
        rng=rng,
        chain=Chain(metrics=GENESIS, replay=GENESIS),
        trajectory="EXACT",
        fresh_optimizer=False,
        determinism=None,
    )
    folder = checkpoints / step_name(0)
    write_checkpoint(folder, state, parameters(recipe.model), fragment, moments=None)
    return folder

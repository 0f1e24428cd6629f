"""Where a checkpoint that came from elsewhere stands on the path of a recipe."""

import torch

from yulan.errors import RecipeError
from yulan.recipe import Recipe
from yulan.train.checkpoint.state import FORMAT, GENESIS, Chain, Cursor, State
from yulan.train.launch.job import training_keys
from yulan.train.randomness import save_random
from yulan.train.schedule import rate_in


def standing(recipe: Recipe, phase: str, global_step: int, adam_step: int, *, at_end: bool) -> State:
    """The state of a checkpoint in `phase` after `global_step` steps, or at its end whatever the number of that step.

    How it was trained is not known, so its trajectory is CLOSE and its logs begin here.

    Raises: RecipeError: the step lies outside the phase.
    """
    section, start = recipe.phase(phase), recipe.start(phase)
    phase_step = section.steps if at_end else global_step - start
    if not 0 < phase_step <= section.steps:
        raise RecipeError(
            f"step {global_step:,} does not lie in {phase}, steps {start + 1:,} to {start + section.steps:,}",
            where=f"recipe {recipe.name}",
            cure="Name its phase; or say --at-end if the checkpoint ends it under another count of steps",
        )
    torch.manual_seed(recipe.seed)
    step = start + phase_step
    return State(
        format=FORMAT,
        recipe=recipe.name,
        keys=recipe.keys(*training_keys(recipe, phase)),
        global_step=step,
        phase_step=phase_step,
        tokens=recipe.tokens_before(phase) + phase_step * section.step_tokens,
        cursor=Cursor(phase=phase, windows=phase_step * section.batch),
        skipped=(),
        adam_step=adam_step,
        lr=rate_in(phase, step, recipe),
        rng=save_random(),
        chain=Chain(metrics=GENESIS, replay=GENESIS),
        trajectory="CLOSE",
        fresh_optimizer=False,
        determinism=None,
    )

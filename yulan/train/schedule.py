"""The learning rate: a function of the global step along a path, and of nothing else."""

import math

from yulan.recipe import Anneal, Recipe, Schedule


def learning_rate(step: int, schedule: Schedule, anneal: Anneal | None, warm: int = 0) -> float:
    """Rate of the `step`-th optimizer step of a path, counted from 1: linear to the peak, flat, then 1 - sqrt to 0.

    The climb begins after global step `warm`: 0, or where a later phase warms up again.

    `anneal.hold` stops the fall there, as YuLan-Mini's trainer did ("small hack" in its train_utils.py).
    """
    if step - warm < schedule.warmup:
        return schedule.peak * (step - warm) / schedule.warmup
    if anneal is None or step <= anneal.start:
        return schedule.peak
    held = step if anneal.hold is None else min(step, anneal.hold)
    return schedule.peak * (1.0 - math.sqrt(min(1.0, (held - anneal.start) / anneal.length)))


def rate_in(phase: str, step: int, recipe: Recipe) -> float:
    """`learning_rate` of a step that lies in one of a recipe's phases."""
    return learning_rate(step, recipe.schedule, recipe.anneal(phase), recipe.start(recipe.warm(phase)))

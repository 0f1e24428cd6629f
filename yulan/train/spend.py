"""The GPU-hour limit: training above it waits until someone allows it."""

from pathlib import Path

from yulan import files
from yulan.errors import DataError, StateError
from yulan.model.shape import flops_per_token
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.schema import load_json


def device_hours(recipe: Recipe, profile: Profile) -> float:
    """Hours of all devices together (on CPU: of processes) for the whole recipe, at the profile's measured rate."""
    flops = sum(
        flops_per_token(recipe.model, phase.context) * phase.steps * phase.step_tokens for phase in recipe.phases.values()
    )
    return flops / profile.flops * profile.processes / 3600


def allow(path: Path, hours: float) -> None:
    """Write down what may be spent."""
    files.write_json(path, {"gpu_hours": hours})


def allowed(path: Path) -> float:
    """Hours that were allowed; 0 if none were.

    Raises: DataError: the file is damaged.
    """
    if not path.exists():
        return 0.0
    told = load_json(path)
    hours = told.get("gpu_hours") if isinstance(told, dict) else None
    if not isinstance(hours, int | float):
        raise DataError("holds no gpu_hours", where=path, cure="Write it again with: yulan allow-spend GPU_HOURS")
    return float(hours)


def require_allowed(recipe: Recipe, profile: Profile, path: Path) -> None:
    """Raises: StateError: the recipe costs more than its limit, and nobody allowed it."""
    hours = device_hours(recipe, profile)
    if hours > max(recipe.limits.gpu_hours, allowed(path)):
        raise StateError(
            f"the recipe needs about {hours:,.1f} device hours, its limit is {recipe.limits.gpu_hours:,.1f}",
            where="$.limits.gpu_hours",
            cure=f"To allow it: yulan allow-spend {hours * 1.05:.1f}",
        )

"""Whether a checkpoint's training fits a machine. No torch: state.json says what model it is."""

from dataclasses import dataclass, fields
from pathlib import Path

from yulan.errors import DataError, RecipeError, StateError
from yulan.model.shape import count
from yulan.plan.need import Need, need
from yulan.profile import Profile
from yulan.recipe import Model, Phase
from yulan.schema import structure, suggest
from yulan.train.checkpoint.state import STATE, read_state, read_tensors


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit(Need):
    """What going on from a checkpoint takes."""

    checkpoint: str
    """Name of its folder."""
    step: int
    phase: str
    """Whose batch, grid and context are taken."""
    parameters: int
    moments: bool
    """Optimizer states are there."""
    disk: int
    """Of the checkpoint that is read, and of each one that is written."""


def fit(folder: Path, profile: Profile, phase: str | None, phases: dict[str, Phase]) -> Fit:
    """What training on from `folder` takes; `phases` of the recipe in use are asked for a phase that the checkpoint lacks.

    Raises: StateError: no checkpoint; RecipeError: no such phase; DataError: its state does not say which model it is.
    """
    place = next((place for place in (folder, folder / "checkpoint") if (place / STATE).is_file()), None)
    if place is None:
        raise StateError(
            "has no state.json", where=folder, cure="Name a checkpoint's folder, as training or `yulan pull` makes it"
        )
    state, table = read_state(place), read_tensors(place)
    own = {key.removeprefix("phases."): value for key, value in state.keys.items() if key.startswith("phases.")}
    if "model" not in state.keys or not (own or phases):
        raise DataError("does not say what model and phase it is of", where=place / STATE, cure="Fetch the checkpoint again")
    model = structure(state.keys["model"], Model)
    known = phases | {name: structure(value, Phase) for name, value in own.items()}
    name = phase or state.cursor.phase or next(iter(known))
    if name not in known:
        raise RecipeError(f"neither checkpoint nor recipe has a phase {name!r}", where=place, cure=suggest(name, sorted(known)))
    numbers, found = count(model), need(model, known[name], profile)
    return Fit(
        checkpoint=place.name,
        step=state.global_step,
        phase=name,
        parameters=numbers,
        moments=any(row.set == "exp_avg" for row in table.tensors),
        disk=12 * numbers,
        **{field.name: getattr(found, field.name) for field in fields(Need)},
    )

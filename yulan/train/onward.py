"""Train on from a checkpoint that came from elsewhere: a pulled states folder, a copy, another machine's run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from yulan import files, manifest
from yulan.errors import RecipeError, StateError
from yulan.layout import MANIFEST, Layout, Place
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.schema import check, plain
from yulan.train.checkpoint.scan import require_whole
from yulan.train.checkpoint.state import STATE, State, Trajectory, read_state, read_tensors
from yulan.train.checkpoint.stream import KINDS
from yulan.train.phase import Outcome, Plan, train_phase

RECORD = "continued.json"
INSIDE = "checkpoint"
"""Where a published states folder keeps the checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Continued:
    """continued.json: what was gone on from, and what may be claimed of the result."""

    format: int
    begun_from: str
    """Content digest of the checkpoint."""
    ended_with: str
    """Content digest of the last checkpoint."""
    phase: str
    trajectory: Trajectory
    fresh_optimizer: bool
    warnings: tuple[str, ...]


def find_checkpoint(folder: Path) -> Path:
    """The checkpoint in a folder that someone names, every byte of it verified.

    Raises: StateError: there is none; IntegrityError: it is damaged.
    """
    for place in (folder, folder / INSIDE):
        if (place / STATE).is_file():
            require_whole(place)
            return place
    raise StateError(
        "holds no checkpoint", where=folder, cure="Name a folder with state.json, as `yulan pull` of the states makes it"
    )


def require_fitting(folder: Path, state: State, recipe: Recipe, phase: str, fresh_optimizer: bool) -> None:
    """Raises: RecipeError: another model, or a phase that does not follow; StateError: no optimizer states."""
    if state.keys.get("model") != plain(recipe.model):
        raise RecipeError(
            f"the checkpoint is of another model than recipe {recipe.name}", where=folder, cure="Choose its recipe: yulan use"
        )
    after = recipe.phase(phase).after
    if (state.cursor.phase or "init") not in (phase, after):
        raise RecipeError(
            f"the checkpoint ends {state.cursor.phase or 'init'}, and {phase} comes after {after}",
            where=folder,
            cure=f"Take a checkpoint of {after}, or name the phase that follows",
        )
    has_moments = any(row.set == KINDS[1] for row in read_tensors(folder).tensors)
    if not has_moments and state.adam_step and not fresh_optimizer:
        raise StateError(
            "holds no optimizer states",
            where=folder,
            cure="Pull them from the states repository, or begin with zero moments, on the record: --fresh-optimizer",
        )


def continue_from(
    folder: Path,
    into: Path,
    layout: Layout,
    recipe: Recipe,
    phase: str,
    profile: Profile,
    *,
    steps: int | None,
    fresh_optimizer: bool,
    look: Callable[[], None],
) -> Outcome:
    """Train `phase` of the clone's recipe from a checkpoint folder, in `into`; the clone's artifacts hold the data.

    Raises: RecipeError, StateError, IntegrityError: checkpoint, recipe and data do not fit; TrainError.
    """
    section = recipe.phase(phase)
    if steps is not None and not 0 < steps <= section.steps:
        raise RecipeError(f"{phase} has {section.steps} steps, not {steps}", where="--steps", cure="Ask for fewer")
    parent = find_checkpoint(folder)
    state = read_state(parent)
    require_fitting(parent, state, recipe, phase, fresh_optimizer)
    begun = state.phase_step if state.cursor.phase == phase else 0
    mix, shards = _whole(layout.stage("mix", phase), f"mix@{phase}"), _whole(layout.stage("shards"), "shards")
    plan = Plan(
        recipe=recipe,
        phase=phase,
        profile=profile,
        mix=mix.data,
        mix_digest=manifest.read(mix.manifest).digest,
        shards=shards.data,
        parent=parent,
        steps=section.steps if steps is None else min(section.steps, begun + steps),
        fresh_optimizer=fresh_optimizer,
    )
    outcome = train_phase(plan, into, look)
    made = Continued(
        format=1,
        begun_from=manifest.read(parent / MANIFEST).digest,
        ended_with=manifest.read(outcome.kept[-1] / MANIFEST).digest,
        phase=phase,
        trajectory=outcome.state.trajectory,
        fresh_optimizer=outcome.state.fresh_optimizer,
        warnings=outcome.warnings,
    )
    check(plain(made), "continued", into / RECORD)
    files.write_json(into / RECORD, plain(made))
    return outcome


def _whole(place: Place, target: str) -> Place:
    """Raises: StateError: the artifact is not there; IntegrityError: a byte differs."""
    if not place.manifest.exists() or not place.data.exists():
        raise StateError("is not there", where=place.folder, cure=f"Fetch it with: dvc pull {target}")
    manifest.require_whole(place)
    return place

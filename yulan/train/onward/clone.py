"""Go on with a phase of the clone's recipe; the clone's artifacts hold the data."""

from collections.abc import Callable, Mapping
from pathlib import Path

from yulan import manifest
from yulan.data.pack import read_header
from yulan.errors import RecipeError, StateError
from yulan.layout import Layout, Place
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.train.checkpoint.state import read_state
from yulan.train.onward.base import base_of
from yulan.train.onward.record import Text, write_record
from yulan.train.onward.start import find_checkpoint, require_fitting
from yulan.train.phase import Outcome, Plan, train_phase


def continue_from(
    folder: Path,
    into: Path,
    layout: Layout,
    recipe: Recipe,
    phase: str,
    profile: Profile,
    *,
    licences: Mapping[str, str],
    steps: int | None,
    fresh_optimizer: bool,
    look: Callable[[], None],
) -> Outcome:
    """Train `phase` of the clone's recipe from a checkpoint folder, in `into`; `licences` are those of the recipe's sources.

    Raises: RecipeError, StateError, IntegrityError: checkpoint, recipe and data do not fit; TrainError.
    """
    section = recipe.phase(phase)
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
        steps=steps_of(phase, section.steps, begun, steps),
        fresh_optimizer=fresh_optimizer,
    )
    base = base_of(folder, parent)
    outcome = train_phase(plan, into, look)
    spans = {name: span for name, span in read_header(mix.data).sources.items() if span.quota}
    sources = {
        name: Text(licence=licences.get(name, "unknown"), digest=None, tokens=span.quota, repeated=span.repeated)
        for name, span in spans.items()
    }
    write_record(into, plan, outcome, shards=manifest.read(shards.manifest).digest, tokenizer=None, sources=sources, base=base)
    return outcome


def steps_of(phase: str, there: int, begun: int, wanted: int | None) -> int:
    """Steps of the phase after which to end: `wanted` more than were `begun`, or all that are there.

    Raises: RecipeError: more are wanted than the phase has.
    """
    if wanted is not None and not 0 < wanted <= there:
        raise RecipeError(f"{phase} has {there} steps, not {wanted}", where="--steps", cure="Ask for fewer")
    return there if wanted is None else min(there, begun + wanted)


def _whole(place: Place, target: str) -> Place:
    """Raises: StateError: the artifact is not there; IntegrityError: a byte differs."""
    if not place.manifest.exists() or not place.data.exists():
        raise StateError("is not there", where=place.folder, cure=f"Fetch it with: dvc pull {target}")
    manifest.require_whole(place)
    return place

"""What a folder offers to go on from: a whole checkpoint, the recipe that made it, its tokenizer, what its path has read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan import digest, manifest
from yulan.data.own.write import read_own
from yulan.data.pack import HEADER, read_header
from yulan.data.spans import Span
from yulan.errors import IntegrityError, RecipeError, StateError
from yulan.layout import DATA, MANIFEST, recipe_file
from yulan.recipe import INIT, Recipe, read_recipe
from yulan.schema import plain
from yulan.train.checkpoint.scan import require_whole, step_name, steps_in
from yulan.train.checkpoint.state import STATE, State, read_state, read_tensors
from yulan.train.checkpoint.stream import KINDS
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.onward.record import RECORD, read_record

INSIDE = "checkpoint"
"""Where a published states folder keeps the checkpoint."""
TOKENIZER, TOKENIZER_FILE = "tokenizer", "tokenizer.json"
SHARDS, MIX = "shards", "mix"
"""Where a folder that `yulan continue` made keeps its own tokens and its pack index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A checkpoint with all that stands beside it."""

    home: Path
    """The folder that holds `recipes/`, `checkpoint/` or `checkpoints/`."""
    checkpoint: Path
    state: State
    recipe: Recipe


def find_checkpoint(folder: Path) -> Path:
    """The checkpoint in a folder that someone names, every byte of it verified; of several the last.

    Raises: StateError: there is none; IntegrityError: it is damaged.
    """
    steps = steps_in(folder / CHECKPOINTS)
    last = [folder / CHECKPOINTS / step_name(steps[-1])] if steps else []
    for place in (folder, folder / INSIDE, *last):
        if (place / STATE).is_file():
            require_whole(place)
            return place
    raise StateError(
        "holds no checkpoint", where=folder, cure="Name a folder with state.json, as `yulan pull` of the states makes it"
    )


def find_start(folder: Path) -> Start:
    """Checkpoint and recipe; the recipe's files are as the folder's manifest lists them, where it has one.

    Raises: StateError: no checkpoint or no recipe; IntegrityError: a byte differs; RecipeError: the recipe is of another model.
    """
    checkpoint = find_checkpoint(folder)
    state = read_state(checkpoint)
    below = Path("recipes") / state.recipe / "recipe.yaml"
    # A checkpoint may be named itself, inside a pulled folder or a run's.
    homes = [home for home in (folder, checkpoint.parent, checkpoint.parent.parent) if (home / below).is_file()]
    if not homes:
        raise StateError(
            f"holds no recipe {state.recipe}",
            where=folder,
            cure=f"Name a folder with {below.as_posix()}, as `yulan pull` of the states makes it",
        )
    require_listed(homes[0], below.as_posix())
    recipe = read_recipe(recipe_file(homes[0], state.recipe))
    require_model(folder, state, recipe)
    return Start(home=homes[0], checkpoint=checkpoint, state=state, recipe=recipe)


def find_tokenizer(start: Start, named: Path | None) -> Path:
    """Folder of the tokenizer: the one that is named, or what the release put beside its checkpoint.

    Raises: StateError: there is none; IntegrityError: a byte differs.
    """
    folder = named or start.home / TOKENIZER
    if not (folder / TOKENIZER_FILE).is_file():
        raise StateError(
            f"holds no {TOKENIZER_FILE}",
            where=folder,
            cure="Name the release's own with --tokenizer: a folder that `yulan pull` of the model made",
        )
    if named is None:
        require_listed(start.home, f"{TOKENIZER}/{TOKENIZER_FILE}")
    return folder


def require_listed(home: Path, name: str) -> None:
    """Raises: IntegrityError: a folder has a manifest, and the file is not as it says."""
    if not (home / MANIFEST).is_file():
        return
    told = {file.path: file.sha256 for file in manifest.read(home / MANIFEST).files}
    if told.get(name) != digest.of_file(home / name):
        raise IntegrityError(f"{name} is not as the manifest lists it", where=home, cure="Pull the folder again")


def taken_before(start: Start, digests: Mapping[str, str]) -> dict[str, Span]:
    """What the path took of the same own text before, in a folder that `yulan continue` made; `digests` by source."""
    pack, own = start.home / MIX / DATA, start.home / SHARDS / DATA
    if not (pack / HEADER).is_file():
        return {}
    spans = read_header(pack).sources
    if (start.home / RECORD).is_file():
        before = {name: text.digest for name, text in read_record(start.home).sources.items()}
    else:  # a run that was stopped
        before = {name: source.origin.digest for name, source in read_own(own).sources.items()}
    return {name: span for name, span in spans.items() if name in digests and before.get(name) == digests[name]}


def require_model(folder: Path, state: State, recipe: Recipe) -> None:
    """Raises: RecipeError: the checkpoint is of another model."""
    if state.keys.get("model") != plain(recipe.model):
        raise RecipeError(
            f"the checkpoint is of another model than recipe {recipe.name}", where=folder, cure="Choose its recipe: yulan use"
        )


def require_fitting(folder: Path, state: State, recipe: Recipe, phase: str, fresh_optimizer: bool) -> None:
    """Raises: RecipeError: another model, or a phase that does not follow; StateError: no optimizer states."""
    require_model(folder, state, recipe)
    after = recipe.phase(phase).after
    if (state.cursor.phase or INIT) not in (phase, after):
        raise RecipeError(
            f"the checkpoint ends {state.cursor.phase or INIT}, and {phase} comes after {after}",
            where=folder,
            cure=f"Take a checkpoint of {after}, or name the phase that follows",
        )
    require_moments(folder, state, fresh_optimizer)


def require_moments(folder: Path, state: State, fresh_optimizer: bool) -> None:
    """Raises: StateError: a checkpoint without optimizer states, and nobody said that it may begin with zero moments."""
    has_moments = any(row.set == KINDS[1] for row in read_tensors(folder).tensors)
    if not has_moments and state.adam_step and not fresh_optimizer:
        raise StateError(
            "holds no optimizer states",
            where=folder,
            cure="Pull them from the states repository, or begin with zero moments, on the record: --fresh-optimizer",
        )

"""A checkpoint as a model folder that stock clients load: finals as plain Llama, the others as yulanmini."""

from dataclasses import dataclass
from pathlib import Path

from yulan import files
from yulan.data.tokenizer import CONFIG, config
from yulan.errors import DataError
from yulan.model.shape import parameters
from yulan.recipe import Recipe
from yulan.release.names import revision
from yulan.release.weights import Lazy, layout, released, write_weights
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.scan import steps_in

DTYPE = "float32"
"""Of released weights. The master's own type: at this size exactness costs nothing."""
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """The last checkpoint of a phase, or the re-balanced one that it began with."""

    phase: str
    step: int
    """Global, along the path."""
    folder: Path
    final: bool

    @property
    def revision(self) -> str:
        return revision(self.phase, self.step)

    @property
    def architecture(self) -> str:
        return "llama" if self.final else "yulanmini"


def end_of(recipe: Recipe, phase: str, trained: Path) -> End:
    """The phase's last checkpoint in the data folder of its training.

    Raises: DataError: it is not the one that the recipe ends with.
    """
    steps = steps_in(trained / CHECKPOINTS)
    wanted = recipe.start(phase) + recipe.phase(phase).steps
    if not steps or steps[-1] != wanted:
        raise DataError(f"{phase} has no checkpoint at step {wanted}", where=trained, cure=f"Train it: dvc repro train@{phase}")
    return End(phase=phase, step=wanted, folder=trained / CHECKPOINTS / f"step-{wanted:06d}", final=phase in recipe.leaves())


def begin_of(recipe: Recipe, phase: str, trained: Path) -> End:
    """The checkpoint that a phase began re-balanced with, in the data folder of its training.

    Raises: DataError: it is not there.
    """
    step = recipe.start(phase)
    folder = trained / CHECKPOINTS / f"step-{step:06d}"
    if step not in steps_in(trained / CHECKPOINTS):
        raise DataError(
            f"{phase} begins re-balanced, and that checkpoint, of step {step}, is not there",
            where=trained,
            cure=f"Train it: dvc repro train@{phase}",
        )
    return End(phase=phase, step=step, folder=folder, final=False)


def kept_of(recipe: Recipe, phase: str, trained: Path) -> list[End]:
    """What the trainer kept of a phase besides its end and what it began re-balanced with."""
    first, last = recipe.start(phase), recipe.start(phase) + recipe.phase(phase).steps
    steps = [step for step in steps_in(trained / CHECKPOINTS) if first < step < last]
    return [End(phase=phase, step=step, folder=trained / CHECKPOINTS / f"step-{step:06d}", final=False) for step in steps]


def export(end: End, recipe: Recipe, tokenizer: Path, into: Path, dtype: str = DTYPE) -> None:
    """Write config, weights, tokenizer and generation settings into `into`.

    Raises: IntegrityError: a tensor is missing, of another shape, or not finite.
    """
    from tokenizers import Tokenizer

    from yulan.model.fold import llama_config, yulanmini_config

    checkpoint = read_checkpoint(end.folder, parameters(recipe.model))
    settings, phase = recipe.data.tokenizer, recipe.phase(end.phase)
    ids = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    bos, eos = ids.token_to_id(settings.bos), ids.token_to_id(settings.eos)
    make = llama_config if end.final else yulanmini_config
    files.write_json(into / "config.json", make(recipe.model, phase.context, phase.rope_theta, bos, eos, dtype))
    # `do_sample`, so that the temperature of the published inference example means something.
    files.write_json(into / "generation_config.json", {"bos_token_id": bos, "eos_token_id": eos, "do_sample": True})
    files.link(tokenizer / "tokenizer.json", into / "tokenizer.json")
    files.write_json(into / CONFIG, config(settings, phase.context))
    rows = layout(recipe.model, end.architecture)
    write_weights(into, rows, released(Lazy(checkpoint), recipe.model, end.architecture, dtype), dtype)

"""A phase that someone brings: one YAML file, complete, laid onto the path that a checkpoint stands at the end of."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import yaml

from yulan import files
from yulan.errors import RecipeError
from yulan.mix import Portions
from yulan.recipe import INIT, Anneal, Phase, Recipe, Schedule
from yulan.recipe.training import Checkpoints, Packing
from yulan.schema import check, load_yaml, plain, structure
from yulan.train.checkpoint.state import State

REGIMES: dict[str, Literal["stable", "warmup-stable", "anneal"]] = {
    "stable": "stable",
    "rewarm": "warmup-stable",
    "anneal": "anneal",
}
"""As a recipe calls them: a phase of regime warmup-stable that is not the first warms up again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseFile:
    name: str
    after: str
    """Phase that the checkpoint ends."""
    regime: Literal["stable", "rewarm", "anneal"]
    """stable: the learning rate stays; rewarm: it climbs from 0 to `peak`, then stays; anneal: it stays, then falls to 0."""
    peak: float
    """Learning rate of the plateau."""
    warmup: int | None
    """Optimizer steps from 0 to the peak; for rewarm only."""
    decay: int | None
    """Optimizer steps from the peak to 0, the last ones of the phase; for anneal only."""
    tokens: int
    context: int
    packing: Packing
    rope_theta: float
    batch: int
    grid: int
    checkpoints: Checkpoints
    rebalance: bool
    """Begin with the checkpoint's weights and moments in re-balanced coordinates."""
    mix: Portions

    def __post_init__(self) -> None:
        for key, regime in (("warmup", "rewarm"), ("decay", "anneal")):
            if (getattr(self, key) is not None) != (self.regime == regime):
                raise RecipeError(
                    f"{key} belongs to the regime {regime} and to no other",
                    where=f"$.{key}",
                    cure=f"Write null, or `regime: {regime}` and a number of steps",
                )

    def phase(self, begin: int) -> Phase:
        """As a recipe has it, beginning after global step `begin`.

        Raises: RecipeError: the phase contradicts itself.
        """
        made = Phase(
            after=self.after,
            regime=REGIMES[self.regime],
            mix=self.name,
            tokens=self.tokens,
            context=self.context,
            packing=self.packing,
            rope_theta=self.rope_theta,
            batch=self.batch,
            grid=self.grid,
            checkpoints=self.checkpoints,
            anneal=None,
            skip=(),
            rebalance=self.rebalance,
        )
        made.require_sound(self.name)
        if self.decay is None:
            return made
        if self.decay > made.steps:
            raise RecipeError(
                f"a decay of {self.decay} steps is longer than the phase ({made.steps} steps)",
                where="$.decay",
                cure="Shorten it or raise $.tokens",
            )
        return replace(made, anneal=Anneal(start=begin + made.steps - self.decay, length=self.decay, hold=None))


def load_phase(path: Path) -> PhaseFile:
    """Raises: RecipeError: the file breaks its schema or a law."""
    raw = load_yaml(path)
    check(raw, "phase", path)
    try:
        made = structure(raw, PhaseFile)
        made.mix.require_sum("$.mix.total")
    except RecipeError as error:
        raise RecipeError(error.what, where=f"{path}: {error.where}", cure=error.cure) from None
    return made


def extend(recipe: Recipe, state: State, file: PhaseFile, where: Path) -> Recipe:
    """The recipe of the path up to `state` with the file's phase at its end, under a name of its own.

    Raises: RecipeError: the phase does not follow, its rate would jump, or a law of recipes is broken.
    """
    begin = state.global_step
    try:
        _require_following(recipe, state, file)
        phases = {name: recipe.phases[name] for name in recipe.path(file.after)} if file.after != INIT else {}
        if phases:
            # A checkpoint may stand in the middle of its phase: the path is as long as it was walked.
            walked, last = begin - recipe.start(file.after), phases[file.after]
            if walked < 1:
                raise RecipeError(
                    f"the checkpoint stands at step {begin}, before its recipe begins {file.after}",
                    where="$.after",
                    cure="Take a checkpoint that its own recipe leads to",
                )
            phases[file.after] = replace(last, tokens=walked * last.step_tokens)
        warmup = recipe.schedule.warmup if file.warmup is None else file.warmup
        phase = file.phase(begin)
        return replace(
            recipe,
            name=f"{recipe.name}-{file.name}",
            schedule=Schedule(peak=file.peak, warmup=warmup),
            phases={**phases, file.name: phase},
        )
    except RecipeError as error:
        told = str(error.where).replace(f"$.phases.{file.name}.", "$.").replace("$.schedule.", "$.")
        raise RecipeError(error.what, where=f"{where}: {told}", cure=error.cure) from None


def _require_following(recipe: Recipe, state: State, file: PhaseFile) -> None:
    ended = state.cursor.phase or INIT
    if file.after != ended:
        raise RecipeError(
            f"the checkpoint ends {ended}, and the phase comes after {file.after}",
            where="$.after",
            cure=f"Write {ended}, or take a checkpoint of {file.after}",
        )
    if file.name in (INIT, *recipe.phases):
        raise RecipeError(f"the path has a phase {file.name} already", where="$.name", cure="Choose another name")
    if file.regime == "rewarm":
        return
    if ended != INIT and recipe.anneal(ended) is not None:
        raise RecipeError(
            "an annealed checkpoint can only be warmed up again",
            where="$.regime",
            cure="Write rewarm, or take a checkpoint from before the anneal",
        )
    if abs(state.lr - file.peak) > 1e-6 * file.peak:
        raise RecipeError(
            f"the learning rate would jump from {state.lr:g} to {file.peak:g}",
            where="$.peak",
            cure=f"Write {state.lr:g}, or climb to another one with `regime: rewarm`",
        )


def write_recipe(recipe: Recipe, file: PhaseFile, folder: Path) -> None:
    """`recipes/<name>/recipe.yaml`, from which a later command goes on, and the phase as it was brought."""
    head = "# Written by `yulan continue`: the path that was walked, and at its end the phase that was brought.\n"
    files.write_text(folder / "recipes" / recipe.name / "recipe.yaml", head + _yaml(plain(recipe)))
    files.write_text(folder / "phase.yaml", _yaml(plain(file)))


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)

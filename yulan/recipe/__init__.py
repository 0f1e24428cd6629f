"""A recipe: what to build, complete, without defaults.

YAML -> JSON Schema -> frozen dataclasses with their laws -> canonical digest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import digest
from yulan.errors import RecipeError
from yulan.layout import recipe_file
from yulan.mix import Group, Mix, load_mix, read_list
from yulan.recipe.corpus import Data
from yulan.recipe.model import Model
from yulan.recipe.outcome import Evaluate, Limits, Release
from yulan.recipe.removed import NOTHING, REMOVED, Removed, load_removed
from yulan.recipe.scoring import Score, with_paths
from yulan.recipe.sources import Sources, load_sources
from yulan.recipe.training import Anneal, Optimizer, Phase, Schedule, Watch
from yulan.schema import check, load_yaml, plain, structure, suggest

__all__ = ["INIT", "Anneal", "Model", "Phase", "Recipe", "Schedule", "load_recipe", "read_recipe"]

INIT = "init"
"""Name of the root of the phase tree: weights before any step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    name: str
    seed: int
    """Initial weights and data order."""
    model: Model
    optimizer: Optimizer
    schedule: Schedule
    watch: Watch
    phases: Mapping[str, Phase]
    data: Data
    evaluate: Evaluate
    release: Release
    limits: Limits

    def __post_init__(self) -> None:
        for name, phase in self.phases.items():
            phase.require_sound(name)
            self.path(name)
        for name in self.phases:
            self._require_sound_path(name)
        if self.data.tokenizer.vocab_size > self.model.vocab_size:
            raise RecipeError(
                f"the tokenizer's {self.data.tokenizer.vocab_size} entries do not fit {self.model.vocab_size} embeddings",
                where="$.data.tokenizer.vocab_size",
                cure="Lower it or raise $.model.vocab_size",
            )

    def phase(self, name: str) -> Phase:
        """Raises: RecipeError: no such phase."""
        if name not in self.phases:
            raise RecipeError(f"no phase named {name!r}", where="$.phases", cure=suggest(name, list(self.phases)))
        return self.phases[name]

    def path(self, name: str) -> tuple[str, ...]:
        """Phases from the first one to `name`.

        Raises: RecipeError: an unknown parent, or a circle.
        """
        path: list[str] = [name]
        while (after := self.phases[path[0]].after) != INIT:
            where = f"$.phases.{path[0]}.after"
            if after not in self.phases:
                raise RecipeError(f"no phase named {after!r}", where=where, cure=suggest(after, [INIT, *self.phases]))
            if after in path:
                raise RecipeError(f"{after!r} comes after itself", where=where, cure="Let the first phase come after init")
            path.insert(0, after)
        return tuple(path)

    def start(self, name: str) -> int:
        """Global step at which a phase begins."""
        return sum(self.phases[p].steps for p in self.path(name)[:-1])

    def tokens_before(self, name: str) -> int:
        """Tokens trained on along the path before a phase begins."""
        return sum(self.phases[p].steps * self.phases[p].step_tokens for p in self.path(name)[:-1])

    def warm(self, name: str) -> str:
        """The phase on the path to `name` that the learning rate climbs in: the first, or a later one that warms up again."""
        path = self.path(name)
        again = [p for p in path[1:] if self.phases[p].regime == "warmup-stable"]
        return again[-1] if again else path[0]

    def anneal(self, name: str) -> Anneal | None:
        """The decay that `name` lies in, declared by it or by a phase before it; a warm-up ends it."""
        declared = self._declared(name)
        return self.phases[declared[-1]].anneal if declared else None

    def _declared(self, name: str) -> list[str]:
        path = self.path(name)
        return [p for p in path[path.index(self.warm(name)) :] if self.phases[p].anneal is not None]

    def leaves(self) -> tuple[str, ...]:
        """Phases that no other comes after: the finals."""
        parents = {phase.after for phase in self.phases.values()}
        return tuple(name for name in self.phases if name not in parents)

    def digest(self) -> str:
        """Identity of the recipe: sha256 of its canonical form."""
        return digest.of_json(plain(self))

    def keys(self, *names: str) -> dict[str, Any]:
        """Values of dotted keys, as a manifest quotes them: `keys("data.clean", "seed")`."""
        found = {}
        for name in names:
            value: Any = self
            for part in name.split("."):
                value = value[part] if isinstance(value, Mapping) else getattr(value, part)
            found[name] = plain(value)
        return found

    def _require_sound_path(self, name: str) -> None:
        where, phase, anneal = f"$.phases.{name}", self.phases[name], self.anneal(name)
        declared = self._declared(name)
        if phase.rebalance and phase.after == INIT:
            raise RecipeError(
                "no alpha has moved before the first step",
                where=f"{where}.rebalance",
                cure="Set it to false, or begin after a phase",
            )
        if (anneal is not None) != (phase.regime == "anneal"):
            raise RecipeError(
                f"a phase of regime {phase.regime} {'lies in' if anneal else 'has no'} anneal",
                where=f"{where}.regime",
                cure="An anneal phase declares its decay or follows one that does; no other phase follows it",
            )
        if len(declared) > 1:
            raise RecipeError(
                "a second anneal on one path", where=f"{where}.anneal", cure="Declare it in the first phase of the decay only"
            )
        if phase.anneal is not None and phase.anneal.start < self.start(name):
            raise RecipeError(
                f"the anneal starts at step {phase.anneal.start}, before the phase (step {self.start(name)})",
                where=f"{where}.anneal.start",
                cure="Start it in this phase",
            )
        warm = self.warm(name)
        if name in self.leaves() and self.schedule.warmup > self.phases[warm].steps:
            raise RecipeError(
                f"a warm-up of {self.schedule.warmup} steps is longer than {warm} ({self.phases[warm].steps} steps)",
                where="$.schedule.warmup",
                cure="Shorten it or lengthen the phase",
            )


def read_recipe(path: Path) -> Recipe:
    """Raises: RecipeError: the file breaks its schema or a law."""
    raw = load_yaml(path)
    check(raw, "recipe", path)
    try:
        recipe = structure(raw, Recipe)
    except RecipeError as error:
        raise RecipeError(error.what, where=f"{path}: {error.where}", cure=error.cure) from None
    if recipe.name != path.parent.name:
        raise RecipeError(f"the recipe calls itself {recipe.name!r}", where=f"{path}: $.name", cure=f"Write {path.parent.name}")
    return recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """A recipe with the files beside it."""

    recipe: Recipe
    sources: Sources
    """Those of sources.yaml, and the paths that `data.score` makes of them."""
    mixes: Mapping[str, Mix]
    """By name, as `phases.*.mix` spells it."""
    removed: Removed = NOTHING
    """What was removed on request."""

    def mix(self, phase: str) -> Mix:
        return self.mixes[self.recipe.phase(phase).mix]

    def token_files(self, folder: Path) -> tuple[Group, ...]:
        """The lists of tokenised sources, each file once: those of the path to the first final, phase by phase, then the others'.

        `folder` is the recipe's. Raises: IntegrityError: a list is not the one of its mix.
        """
        seen: set[str] = set()
        groups = []
        for phase in dict.fromkeys((*self.recipe.path(self.recipe.leaves()[0]), *self.recipe.phases)):
            listed = self.mix(phase).files
            for group in read_list(folder, listed) if listed is not None else ():
                fresh = tuple(p for p, name in zip(group.paths, group.published, strict=True) if name not in seen)
                if self.sources.sources[group.source].tokenised and fresh:
                    seen.update(group.published)
                    groups.append(Group(source=group.source, tokens=group.tokens * len(fresh) // len(group.paths), paths=fresh))
        return tuple(groups)


def load_recipe(root: Path, name: str) -> Book:
    """Load `recipes/<name>/`, checked as a whole.

    Raises: RecipeError: a file breaks its schema or a law, or names what another does not have.
    """
    path = recipe_file(root, name)
    recipe, folder = read_recipe(path), path.parent
    sources = with_paths(load_sources(folder / "sources.yaml"), recipe.data.score, str(path))
    names = sorted(p.stem for p in (folder / "mixes").glob("*.yaml"))
    for key, phase in recipe.phases.items():
        if phase.mix not in names:
            raise RecipeError(f"no mix named {phase.mix!r}", where=f"{path}: $.phases.{key}.mix", cure=suggest(phase.mix, names))
    mixes = {mix: load_mix(folder / "mixes" / f"{mix}.yaml") for mix in names}
    for mix, content in mixes.items():
        _require_paths(content, sources, recipe.data.score, f"{folder / 'mixes' / mix}.yaml: $.sources")
    for source, about in sources.sources.items():
        if about.packaged and about.family not in recipe.data.clean.families:
            raise RecipeError(
                f"nothing says how {source} of family {about.family!r} is cleaned",
                where=f"{path}: $.data.clean.families",
                cure="List its filters, or an empty list",
            )
    for index, name in enumerate(recipe.release.text):
        sources.require_passed_on(name, f"{path}: $.release.text[{index}]")
    if recipe.data.synthesize.families and recipe.data.synthesize.model is None:
        sources.require_generator()
    published = recipe.data.tokenizer.published
    if published is not None and published.package is not None and published.package not in sources.packages:
        raise RecipeError(
            f"no package {published.package!r}",
            where=f"{path}: $.data.tokenizer.published.package",
            cure=suggest(published.package, sorted(sources.packages)),
        )
    for key, task in recipe.evaluate.tasks.items():
        if task.benchmark not in sources.benchmarks:
            raise RecipeError(
                f"no benchmark named {task.benchmark!r}",
                where=f"{path}: $.evaluate.tasks.{key}.benchmark",
                cure=suggest(task.benchmark, sorted(sources.benchmarks)),
            )
    for index, key in enumerate(recipe.evaluate.benchmarked):
        if key not in recipe.phases:
            raise RecipeError(
                f"no phase named {key!r}",
                where=f"{path}: $.evaluate.benchmarked[{index}]",
                cure=suggest(key, sorted(recipe.phases)),
            )
    return Book(recipe=recipe, sources=sources, mixes=mixes, removed=load_removed(folder / REMOVED))


def _require_paths(mix: Mix, sources: Sources, score: Score, where: str) -> None:
    """Raises: RecipeError: the mix names what is no source, or what does not stay whole."""
    for source in mix.sources:
        if source not in sources.sources:
            raise RecipeError(f"no source named {source!r}", where=where, cure=suggest(source, sorted(sources.sources)))
        if source not in (paths := score.paths(source)):
            what = f"{source} is split by $.data.score, nothing is left under its own name"
            raise RecipeError(what, where=where, cure=f"Name its paths: {', '.join(paths)}")

"""A large recipe's mixes in miniature: the same shares by family and language, of other and smaller sources."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yulan.errors import RecipeError
from yulan.mix import Mix, Part, allocate
from yulan.recipe import Book, Recipe
from yulan.recipe.sources import Source

ANY = "*"


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIn:
    """One source that stands for a family in a language; `*` is any, and the first rule that a source meets counts."""

    family: str
    language: str
    source: str
    part: int
    """Of the sum over the sources of the same rule."""

    def meets(self, source: Source) -> bool:
        return self.family in (ANY, source.family) and self.language in (ANY, source.language)


def read_stand_ins(path: Path) -> tuple[StandIn, ...]:
    with path.open(encoding="utf-8") as file:
        return tuple(
            StandIn(family=row["family"], language=row["language"], source=row["source"], part=int(row["part"]))
            for row in csv.DictReader(file)
        )


def shrink(large: Book, small: Recipe, rules: Sequence[StandIn], repeats: int) -> dict[str, Mix]:
    """Mixes of `small`, by phase: each phase of `large` in whole tokens of the phase of the same name.

    Raises: RecipeError: a phase that `large` lacks, or a source that no rule meets.
    """
    made = {}
    for name, phase in small.phases.items():
        shares = Counter[tuple[str, str]]()
        for source, part in large.mix(name).sources.items():
            about = large.sources.sources[source]
            rule = next((rule for rule in rules if rule.meets(about)), None)
            if rule is None:
                raise RecipeError(
                    f"nothing stands for {source}", where=large.recipe.name, cure="Add a rule for its family and language"
                )
            shares[rule.family, rule.language] += part.weight
        weights: dict[str, int] = {}
        for (family, language), tokens in allocate_pairs(shares, phase.tokens).items():
            parts = {rule.source: rule.part for rule in rules if (rule.family, rule.language) == (family, language)}
            for source, share in allocate(parts, tokens).items():
                weights[source] = weights.get(source, 0) + share
        sources = {source: Part(weight=weights[source], repeats=repeats) for source in sorted(weights)}
        made[name] = Mix(total=phase.tokens, sources=sources, intent=None, files=None)
    return made


def allocate_pairs(shares: Counter[tuple[str, str]], budget: int) -> dict[tuple[str, str], int]:
    """Divide whole tokens among families and languages."""
    names = {f"{family}/{language}": (family, language) for family, language in shares}
    return {names[name]: tokens for name, tokens in allocate({n: shares[p] for n, p in names.items()}, budget).items()}

"""A mix: how many whole tokens of a phase's budget each source gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan.errors import RecipeError
from yulan.schema import check, load_yaml, structure


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One source's share in a mix."""

    weight: int
    """Tokens of `total` that this source gives."""
    repeats: int
    """How many times its text may be used again along a path; 0: never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Portions:
    """Sources and what each gives of a whole."""

    total: int
    """What the weights sum to; the phase's budget is divided in the same proportions."""
    sources: Mapping[str, Part]

    def quotas(self, budget: int) -> dict[str, int]:
        """Whole tokens for each source; they sum to `budget`."""
        return allocate({name: part.weight for name, part in self.sources.items()}, budget)

    def require_sum(self, where: str) -> None:
        """Raises: RecipeError: the weights do not sum to the total."""
        parts = sum(part.weight for part in self.sources.values())
        if parts != self.total:
            what = f"the weights sum to {parts}, not to {self.total}"
            raise RecipeError(what, where=where, cure="Correct a weight or the total")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix(Portions):
    """A file in a recipe's mixes/."""


def allocate(weights: Mapping[str, int], budget: int) -> dict[str, int]:
    """Divide `budget` tokens by largest remainder.

    Ties go to the name that sorts first, so equal mixes give equal shards on any machine.
    """
    total = sum(weights.values())
    shares = {name: divmod(weight * budget, total) for name, weight in weights.items()}
    missing = budget - sum(whole for whole, _ in shares.values())
    first = set(sorted(shares, key=lambda name: (-shares[name][1], name))[:missing])
    return {name: shares[name][0] + (name in first) for name in sorted(shares)}


def load_mix(path: Path) -> Mix:
    """Raises: RecipeError: the file breaks its schema, or its weights do not sum to its total."""
    raw = load_yaml(path)
    check(raw, "mix", path)
    mix = structure(raw, Mix)
    mix.require_sum(f"{path}: $.total")
    return mix

"""published.yaml: what the authors of a curriculum say of the checkpoints that they published."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan.errors import RecipeError
from yulan.recipe import Recipe
from yulan.schema import read_yaml

PUBLISHED = "published.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """One repository."""

    phase: str
    """`main` of the repository is said to be its end."""
    optimizer: bool
    """Whether optimizer states are said to be there."""
    architecture: str
    """`model_type` of config.json."""
    linked: bool
    """Whether the source gives an address; without one the name is all that is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The file."""

    format: int
    repos: Mapping[str, Known]
    """By OWNER/NAME."""


def load_published(path: Path, recipe: Recipe) -> Published:
    """Raises: RecipeError: no such file, it breaks its schema, or names a phase that the recipe does not have."""
    if not path.is_file():
        raise RecipeError(
            "the recipe does not say what others published", where=path, cure="Name repositories: yulan adopt hf://OWNER/NAME"
        )
    found = read_yaml(path, "published", Published)
    for known in found.repos.values():
        recipe.phase(known.phase)
    return found

"""params.yaml: the chosen recipe, profile and phases, for DVC to read. Its diff is the record of a choice."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from yulan import files
from yulan.layout import Layout, find_root
from yulan.recipe import INIT, Recipe
from yulan.schema import plain, read_yaml


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """What dvc.yaml needs to know of a phase."""

    parent: str
    """Folder of the checkpoint it starts from: `init` or `train/phase-NN`."""
    before: str
    """Folder of the mix that says what the path has used: `mix/phase-NN`; the first phase waits for `tokenizer`."""
    mix: str
    """Name of its mix file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    recipe: str
    profile: str
    phases: Mapping[str, Node]


def params_for(recipe: Recipe, profile: str) -> Params:
    nodes = {
        name: Node(
            parent=INIT if phase.after == INIT else f"train/{phase.after}",
            before="tokenizer" if phase.after == INIT else f"mix/{phase.after}",
            mix=phase.mix,
        )
        for name, phase in recipe.phases.items()
    }
    return Params(recipe=recipe.name, profile=profile, phases=nodes)


def write_params(root: Path, params: Params) -> None:
    text = "# Written by `yulan use`; dvc.yaml reads it.\n" + yaml.safe_dump(plain(params), sort_keys=False)
    files.write_text(root / "params.yaml", text)


def read_params(root: Path | None = None) -> Params:
    """Raises: RecipeError: no params.yaml, or it breaks its schema."""
    path = (root or find_root()) / "params.yaml"
    return read_yaml(path, "params", Params)


def layout_here() -> Layout:
    """The layout of the recipe in use, in the clone around the working folder."""
    root = find_root()
    return Layout(root=root, recipe=read_params(root).recipe)

"""Where the `yulan data` verbs look: the recipe in use of the clone around, or a pulled data repository."""

from dataclasses import dataclass
from pathlib import Path

from yulan import manifest
from yulan.layout import MANIFEST, Layout, find_root
from yulan.params import read_params
from yulan.profile import Profile, load_profile
from yulan.recipe import Book, load_recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    book: Book
    layout: Layout | None
    """None in a pulled repository."""
    folder: Path
    """That repository, or the clone's artifact of `index`."""


def where(folder: Path | None) -> Where:
    """Raises: StateError: no folder is given and there is no clone around; DataError: the folder has no manifest."""
    if folder is None:
        root = find_root()
        layout = Layout(root=root, recipe=read_params(root).recipe)
        return Where(book=load_recipe(root, layout.recipe), layout=layout, folder=layout.stage("index").folder)
    # A release calls itself `<recipe>/data/<revision>` and carries its recipe.
    name = manifest.read(folder / MANIFEST).name.partition("/")[0]
    return Where(book=load_recipe(folder, name), layout=None, folder=folder)


def profile() -> Profile:
    """The one in use."""
    return load_profile(read_params(find_root()).profile)

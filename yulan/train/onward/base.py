"""Which published model a folder goes on from: what a Hub calls `base_model`."""

from pathlib import Path

from yulan import manifest
from yulan.layout import MANIFEST, recipe_file, recipe_names
from yulan.recipe import read_recipe
from yulan.train.onward.record import RECORD, Base, read_record

RELEASE, STATES = "release", "states"
"""As a published folder's manifest calls itself: stage, and the middle of its name."""


def base_of(folder: Path, checkpoint: Path) -> Base | None:
    """As the folder gone on from tells it: a pulled states folder, or one that was itself continued from such a one.

    None: a bare checkpoint, or one of a run that was never published.
    """
    for home in (folder, checkpoint.parent, checkpoint.parent.parent):
        if (home / RECORD).is_file():
            return read_record(home).base
        if (home / MANIFEST).is_file():
            found = manifest.read(home / MANIFEST)
            recipe, part, revision = (*found.name.split("/"), "", "", "")[:3]
            if found.stage == RELEASE and part == STATES and recipe in recipe_names(home):
                name = read_recipe(recipe_file(home, recipe)).release.repo
                return Base(model=name, relation="finetune", revision=revision, digest=found.digest)
    return None

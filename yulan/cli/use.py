"""`yulan use RECIPE`."""

import subprocess
from pathlib import Path

import click

from yulan.errors import StateError
from yulan.layout import find_root
from yulan.params import params_for, read_params, write_params
from yulan.profile import load_profile
from yulan.recipe import load_recipe


@click.command()
@click.argument("recipe")
@click.option("--profile", help="The machine to run on; without it the one in use stays.")
def use(recipe: str, profile: str | None) -> None:
    """Write params.yaml for RECIPE, so that `dvc repro` builds it."""
    root = find_root()
    now = read_params(root) if (root / "params.yaml").exists() else None
    chosen = profile or (now.profile if now else "cpu-2")
    load_profile(chosen)
    book = load_recipe(root, recipe)
    if now is not None and now.recipe != recipe:
        _require_committed_lock(root)
    write_params(root, params_for(book.recipe, chosen))
    click.echo(f"params.yaml: {recipe} on {chosen}, {len(book.recipe.phases)} phases")


def _require_committed_lock(root: Path) -> None:
    """dvc.lock knows one recipe at a time: after a switch the other's entries are gone."""
    done = subprocess.run(["git", "status", "--porcelain", "dvc.lock"], cwd=root, capture_output=True, text=True, check=False)
    if done.stdout.strip():
        raise StateError(
            "dvc.lock is not committed, and a switch of recipes would lose it",
            where="dvc.lock",
            cure="Commit it (git commit dvc.lock artifacts), then run the command again",
        )

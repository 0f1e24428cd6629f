"""`yulan track import|ui`."""

import os
import sys

import click


@click.group()
def track() -> None:
    """The MLflow store of training runs."""


@track.command("import")
def import_() -> None:
    """Make the store anew from the logs in the artifacts of the recipe in use."""
    from yulan.layout import Layout, find_root
    from yulan.params import read_params
    from yulan.recipe import load_recipe
    from yulan.train.track import rebuild

    root = find_root()
    name = read_params(root).recipe
    layout = Layout(root=root, recipe=name)
    count = rebuild(layout, load_recipe(root, name).recipe)
    click.echo(f"{layout.tracking.relative_to(root)}: {count} phases")


@track.command()
@click.option("--port", default=5000, type=click.IntRange(1, 65535))
def ui(port: int) -> None:
    """Open MLflow's pages on the store of this clone; the address is printed."""
    from yulan.errors import StateError
    from yulan.params import layout_here

    store = layout_here().tracking
    if not store.exists():
        raise StateError("no training was tracked yet", where=store, cure="Train a phase, or rebuild it with: yulan track import")
    # Without its job runner MLflow serves the same pages with two processes instead of eleven.
    env = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    words = ["-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{store}", "--host", "127.0.0.1", "--port", str(port)]
    os.execvpe(sys.executable, [sys.executable, *words], env)

"""`yulan track import`."""

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

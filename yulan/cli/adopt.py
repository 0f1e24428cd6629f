"""`yulan adopt hf://OWNER/NAME`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from yulan.errors import StateError

if TYPE_CHECKING:
    from yulan.release.adopt import Adopted


@click.command()
@click.argument("addresses", nargs=-1, metavar="hf://[datasets/]OWNER/NAME[@REVISION]...")
@click.option("--recipe", "name", metavar="NAME", help="Hold them to its published.yaml; without addresses: all that it names.")
@click.option("--into", type=click.Path(path_type=Path), default=Path("adopted"), show_default=True, help="A new folder.")
@click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds a token, for private ones."
)
def adopt(addresses: tuple[str, ...], name: str | None, into: Path, endpoint: str | None, token_file: Path | None) -> None:
    """Write manifests, checkpoints.csv and findings of what others published, without publishing or fetching weights.

    Findings do not fail it; `yulan audit` does.
    """
    from yulan.layout import find_root, recipe_file
    from yulan.recipe import read_recipe
    from yulan.recipe.known import PUBLISHED, load_published
    from yulan.release.names import any_repo

    if not addresses and name is None:
        raise click.UsageError("Name repositories, or a recipe whose published.yaml does.")
    if into.exists():
        raise StateError("something lies there already", where=into, cure="Choose a new folder with --into")
    path = recipe_file(find_root(), name) if name else None
    recipe = read_recipe(path) if path else None
    known = load_published(path.parent / PUBLISHED, recipe).repos if path and recipe else {}
    wanted = [any_repo(each) for each in addresses or [f"hf://{repo}" for repo in known]]
    from yulan.release.adopt import absent, adopt, write
    from yulan.release.audit.asked import Asked
    from yulan.release.audit.run import audit, states_of
    from yulan.release.audit.survey import look
    from yulan.release.hub import Hub, Refused, token_for

    token = token_for(token_file.read_text().strip() if token_file else None)
    made: dict[str, Adopted] = {}
    for repo, revision in wanted:
        hub = Asked(Hub(endpoint, token), lambda line: click.echo(line, err=True))
        try:
            survey = look(hub, repo, revision)
        except Refused:
            if addresses:
                raise
            made[str(repo)] = absent(repo, known.get(repo.id))
        else:
            audited = audit(survey, states_of(hub, repo) if revision is None else None)
            made[str(repo)] = adopt(survey, audited, recipe, known.get(repo.id))
        click.echo(told(made[str(repo)]))
    write(into, made)
    click.echo(f"{into}: {len(made)} repositories, {sum(len(each.rows) for each in made.values())} revisions")


def told(adopted: "Adopted") -> str:
    """One line of a repository."""
    found = adopted.audited
    errors = sum(each.severity == "error" for each in found.findings)
    counts = f"{found.revisions} revisions, {found.files} files, {found.bytes:,} bytes, none of them fetched but small ones"
    return f"{found.repo}: {counts}: {errors} errors, {len(found.findings) - errors} warnings, {found.requests} requests"

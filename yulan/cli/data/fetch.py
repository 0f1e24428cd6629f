"""`yulan data fetch [RECIPE] --phase PHASE --fraction F`."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yulan.errors import DataError, RecipeError
from yulan.layout import Layout, find_root
from yulan.mix import PREFIX, read_list
from yulan.params import read_params
from yulan.recipe import Book, load_recipe
from yulan.schema import plain

if TYPE_CHECKING:
    from yulan.release.hub import Hub
    from yulan.release.slice import Slice


@click.command()
@click.argument("recipe", required=False)
@click.option("--phase", required=True, help="Like 21 or phase-26-4k.")
@click.option("--fraction", required=True, help="Of the phase: 0.01 or 1/64.")
@click.option("--to", "target", type=click.Path(file_okay=False, path_type=Path), help="Folder; default: where stages look.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be fetched, and how much it is.")
@click.option("--repo", metavar="OWNER/NAME[@REVISION]", help="Data set to look in instead of those that the recipe names.")
@click.option("--prefix", default=PREFIX, show_default=True, help="What stands before a source's name there.")
@click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds a token, if one is needed."
)
@click.option("--json", "as_json", is_flag=True, help="What slice.json holds.")
def fetch(
    recipe: str | None,
    phase: str,
    fraction: str,
    target: Path | None,
    only_plan: bool,
    repo: str | None,
    prefix: str,
    endpoint: str | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Fetch a part of the token files that a PHASE of RECIPE (default: the one in use) lists, every byte checked.

    Files that are not to be had are named with the reason, the others are fetched, and the exit code is 4. Interrupted, the
    same command goes on where it stopped.
    """
    root = find_root()
    name = recipe or read_params(root).recipe
    book, layout = load_recipe(root, name), Layout(root=root, recipe=name)

    from yulan.release.fetch import fetch as run
    from yulan.release.hub import Hub, token_for

    hub = Hub(endpoint, token_for(token_file.read_text().strip() if token_file else None))
    made = _planned(hub, book, layout, _phase(book, phase), fraction, repo, prefix)
    if as_json:
        click.echo(json.dumps(plain(made), ensure_ascii=False))
    else:
        _say(made)
    into = target or layout.token_files
    if not only_plan:
        fetched = run(hub, made, into, lambda line: click.echo(line, err=True))
        click.echo(f"{into}: {len(made.files)} files, all match; {fetched:,} bytes came over the wire", err=as_json)
    if made.absent:
        raise DataError(
            f"{len(made.absent)} of {len(made.absent) + len(made.files)} token files are not to be had",
            where=f"{name}, {made.phase}",
            cure="Name a data set that has them with --repo, or a smaller fraction",
        )


def _phase(book: Book, given: str) -> str:
    """`21` is phase-21, and `26-4k` phase-26-4k."""
    number, dash, rest = given.partition("-")
    full = f"phase-{number:0>2}{dash}{rest}"
    return full if given not in book.recipe.phases and full in book.recipe.phases else given


def _planned(hub: "Hub", book: Book, layout: Layout, phase: str, fraction: str, repo: str | None, prefix: str) -> "Slice":
    from yulan.data.slice import RULE, cut, parse_fraction
    from yulan.release.fetch import place_of, survey
    from yulan.release.slice import Slice

    part = parse_fraction(fraction)
    book.recipe.phase(phase)
    mix = book.mix(phase)
    if mix.files is None:
        raise RecipeError(
            "its mix lists no token files", where=f"{book.recipe.name}, {phase}", cure="Its text comes with: dvc repro sources"
        )
    pieces = cut(mix, read_list(layout.recipe_folder, mix.files), part)
    taken, listed = sum(len(piece.paths) for piece in pieces), sum(piece.listed for piece in pieces)
    click.echo(f"{phase}: {taken:,} of {listed:,} listed files; asking {hub.endpoint} for them", err=True)
    places = {piece.source: place_of(book.sources.sources[piece.source], repo, prefix) for piece in pieces}
    found, absent = survey(hub, pieces, places)
    quotas = {piece.source: piece.quota for piece in pieces}
    return Slice(
        format=1,
        recipe=book.recipe.name,
        phase=phase,
        fraction=fraction,
        rule=RULE,
        wanted=sum(quotas.values()),
        quotas=quotas,
        files=found,
        absent=absent,
    )


def _say(made: "Slice") -> None:
    click.echo(f"{made.recipe}, {made.phase}, {made.fraction} of it: {made.wanted:,} tokens wanted; {made.rule}")
    click.echo(f"{'source':64} {'files':>6} {'rows':>12} {'tokens':>14} {'wanted':>14} {'bytes':>16}")
    for source, quota in made.quotas.items():
        if there := [file for file in made.files if file.source == source]:
            rows, tokens, size = (sum(getattr(file, key) for file in there) for key in ("rows", "tokens", "size"))
            click.echo(f"{source:64} {len(there):6,} {rows:12,} {tokens:14,} {quota:14,} {size:16,}")
    click.echo(f"{'all':64} {len(made.files):6,} {made.rows:12,} {made.tokens:14,} {made.wanted:14,} {made.bytes:16,}")
    if made.absent:
        click.echo(f"not to be had: {len(made.absent)} files")
        for reason, count in Counter(each.reason for each in made.absent).most_common():
            some = [each.path for each in made.absent if each.reason == reason]
            click.echo("\n".join([f"  {reason}: {count}", *(f"    {path}" for path in some)]))

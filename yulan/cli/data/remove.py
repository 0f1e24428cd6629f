"""`yulan data remove DOC`: take a document out of what the recipe builds from now on."""

import datetime
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from yulan.recipe.removed import REASONS, Reason

if TYPE_CHECKING:
    from yulan.release.removal import Plan

SHOWN = 8
"""Steps that are listed on a line; the record has all."""


@click.command()
@click.argument("document", metavar="DOC")
@click.option("--reason", type=click.Choice(REASONS), required=True, help="The kind of request; never its words or sender.")
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Of the request; default: today, UTC.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what it touches; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="What the record holds.")
def remove(document: str, reason: Reason, date: datetime.datetime | None, only_plan: bool, as_json: bool) -> None:
    """Enter DOC, an id, into the recipe's removed.yaml, with its copies and what was made from it.

    Says which phases trained on it and at which steps, which files hold it, and what was published. The next build leaves it out.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", document):
        raise click.BadParameter("an id has 64 digits of 0-9a-f; yulan data seen TEXT prints that of a text")
    from yulan.cli.data.where import where
    from yulan.release import removal
    from yulan.schema import plain

    here = where(None)
    if here.layout is None:
        raise click.UsageError("a document is removed in a clone")
    day = (date or datetime.datetime.now(datetime.UTC)).strftime("%Y-%m-%d")
    made = removal.plan(here.layout, here.book, document, day, reason)
    if as_json:
        click.echo(json.dumps(plain(made)))
    else:
        click.echo("\n".join([*_documents(made), *_trained(made), *_held(made), *_published(made)]))
    if not only_plan:
        path = removal.remove(here.layout, here.book, made)
        click.echo(f"entered in {here.layout.recipe_folder.relative_to(here.layout.root)}/removed.yaml", err=as_json)
        click.echo(f"what it touches: {path.relative_to(here.layout.root)}", err=as_json)
    click.echo("\n".join(_next(made)), err=as_json)


def _documents(made: "Plan") -> Iterator[str]:
    first, *others = made.documents
    yield f"document {first.id} of {made.recipe}, {first.reason}, {first.date}"
    yield from (f"  goes with it, as a copy or made from it: {each.id}" for each in others)


def _trained(made: "Plan") -> Iterator[str]:
    if made.trained is None:
        yield "no index is here to say when it was trained on: dvc pull index, or dvc repro index"
        return
    if not made.trained:
        yield "no phase trained on it"
    for each in made.trained:
        some = ", ".join(f"{step:,}" for step in each.steps[:SHOWN])
        more = f" and {len(each.steps) - SHOWN:,} more" if len(each.steps) > SHOWN else ""
        yield f"  {each.phase:16} trained on {each.document[:12]} at step {some}{more}"
    if made.inherited:
        yield f"  began from weights that had seen it: {', '.join(made.inherited)}"


def _held(made: "Plan") -> Iterator[str]:
    yield "files that hold it:"
    for each in made.held:
        place = f"  object {each.cached}" if each.cached and each.kind != "id" else ""
        note = ", as its publisher has it: ask there" if each.artifact == "sources" else place
        yield f"  {each.kind:6} {each.artifact}/{each.file}{note}"


def _published(made: "Plan") -> Iterator[str]:
    for each in made.published:
        yield f"published: datasets/{each.repo} on {each.hub}, commit {each.commit}"
        if each.files is None:
            yield "  of another build: pull that commit, and look there with yulan data remove --plan"
        for file in each.files or ():
            yield f"  to delete for good: {file.file}, object {file.sha256}"


def _next(made: "Plan") -> Iterator[str]:
    yield "then:"
    yield "  dvc repro                      the build without it, every phase trained anew; or, for the same weights,"
    yield "  dvc repro -s bundle gate report     a release of them whose data holds no text of it"
    if made.published:
        yield "  yulan publish                  a revision of the data without it"
        yield "  on the hub                     delete the objects above, in Settings > Storage; a revision keeps them otherwise"
    yield "  dvc gc --workspace             deletes the objects above from the cache; with --cloud from the remote"
    yield "  yulan gc                       sweeps runs/, where stages keep finished pieces of text and a model's answers"
    yield "  rm -r .cache/spans             if spans were indexed; yulan data spans makes the index again"

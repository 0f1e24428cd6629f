"""`yulan data at PHASE --step S`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from yulan.cli.data.where import Where
    from yulan.data.index.at import Passage, Phase

SHOWN = 72
"""Characters of a text on its line; --json has the whole."""


@click.command()
@click.argument("phase")
@click.option("--step", type=click.IntRange(min=1), required=True, help="Optimizer step, counted along the path from 1.")
@click.option("--rank", type=click.IntRange(min=0), help="Only what this process gets, of as many as the profile in use has.")
@click.option("--ranks", type=click.IntRange(min=1), help="Of so many processes instead.")
@click.option("--in", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A pulled data repository.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, with each text as a whole.")
def at(phase: str, step: int, rank: int | None, ranks: int | None, folder: Path | None, as_json: bool) -> None:
    """The documents of one step of PHASE: source, id, licence, offset and text, in the order they are trained on."""
    if ranks is not None and rank is None:
        raise click.UsageError("--ranks says of how many processes --rank is one; give --rank too")
    from yulan.cli.data.where import profile, where

    here = where(folder)
    found = _phase(here, phase)
    passages = found.passages(step)
    if rank is not None:
        passages = found.of_rank(passages, rank, ranks or profile().processes)
    said = _texts(here, found, passages)
    licences = {name: source.licence for name, source in here.book.sources.sources.items()}
    if as_json:
        rows = [_row(each, licences[each.source], text) for each, text in zip(passages, said, strict=True)]
        click.echo(json.dumps({"phase": phase, "step": step, "rank": rank, "passages": rows}, ensure_ascii=False))
        return
    click.echo(
        f"{'micro':>5} {'row':>8} {'position':>8} {'ids':>6}  {'of document':64}  {'from id':>7} {'offset':>12}  source, licence"
    )
    for each, text in zip(passages, said, strict=True):
        place = f"{each.micro:5} {each.row:8} {each.position:8} {each.length:6}"
        click.echo(f"{place}  {each.document}  {each.start:7} {each.offset:12}  {each.source}, {licences[each.source]}")
        if text is not None:
            line = " ".join(text.split())
            click.echo(f"      {line[:SHOWN]}{'…' * (len(line) > SHOWN)}")
    windows, ids = len({each.row for each in passages}), sum(each.length for each in passages)
    documents, cut = len({each.document for each in passages}), sum(each.length < each.tokens for each in passages)
    about = found.windows.header
    click.echo(f"{windows} windows, {ids:,} ids of {documents:,} documents; {cut:,} stretches are not a whole one", err=True)
    click.echo(f"packing {about.packing}: {about.padding:,} of the {about.tokens:,} inputs of {phase} are padding", err=True)


def _phase(here: "Where", name: str) -> "Phase":
    from yulan.data.index.at import Phase

    here.book.recipe.phase(name)
    if here.layout is None:
        return Phase.of_release(here.folder, name)
    return Phase.of_clone(here.layout, here.book.recipe, name)


def _texts(here: "Where", phase: "Phase", passages: "list[Passage]") -> list[str | None]:
    """What the ids say; None each in a pulled repository, which has no text."""
    from yulan.data import tokenizer

    if here.layout is None:
        return [None] * len(passages)
    settings = here.book.recipe.data
    learned = here.layout.stage("tokenizer").data
    codec = tokenizer.load(learned, settings.tokenizer, begin_with_bos=settings.shards.begin_with_bos)
    return list(phase.texts(passages, codec))


def _row(each: "Passage", licence: str, text: str | None) -> dict[str, object]:
    from yulan.schema import plain

    found: dict[str, object] = plain(each)
    return found | {"licence": licence, "text": text}

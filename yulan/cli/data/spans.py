"""`yulan data spans`, and how `seen` answers with it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from yulan.cli.data.where import Where
    from yulan.data.index.read import Index, Leaf
    from yulan.data.index.spans import Hit


@click.command()
def spans() -> None:
    """Build the optional index that `seen` finds spans of 50 ids with: 0.64 bytes an id, below .cache/ of the clone."""
    from yulan import manifest
    from yulan.cli.data.where import where
    from yulan.data.index.spans import write_spans

    layout = where(None).layout
    if layout is None:
        raise click.UsageError("an index of spans needs the tokens of a clone")
    place = layout.stage("shards")
    made = write_spans(place.data, manifest.read(place.manifest).digest, layout.spans)
    ids = sum(made.sources.values())
    click.echo(f"{layout.spans}: {made.rows:,} stretches of {ids:,} ids of {len(made.sources)} sources")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A document that holds the text, and its leaf."""

    hit: "Hit"
    leaf: "Leaf"

    @property
    def places(self) -> list[dict[str, Any]]:
        """Where the text's ids were inputs."""
        from yulan.data.index.spans import places_of

        return [dict(at) for at in places_of(self.hit, self.leaf.content)]


def look(here: "Where", index: "Index", text: str) -> tuple[list[Found], list[str]]:
    """Indexed documents that hold `text`, and what else is to be said of it."""
    from yulan import manifest
    from yulan.data import tokenizer
    from yulan.data.index.spans import Spans
    from yulan.data.index.text import forms
    from yulan.errors import DataError, StateError

    if here.layout is None:
        return [], ["spans: they are looked for in a clone only"]
    place, settings = here.layout.stage("shards"), here.book.recipe.data
    try:
        known = Spans(here.layout.spans, place.data, manifest.read(place.manifest).digest)
        learned = here.layout.stage("tokenizer").data
        codec = tokenizer.load(learned, settings.tokenizer, begin_with_bos=settings.shards.begin_with_bos)
        found = (known.find(each, codec) for each in (text, *(other for _, other in forms(text))))
        hits = next((some for some in found if some), [])
    except (DataError, StateError) as error:
        return [], [f"spans: {error.what}. {error.cure}"]
    leaves = [(hit, index.find(hit.document)) for hit in hits]
    lost = [f"spans: {hit.document} of {hit.source} holds it, which no phase takes" for hit, leaf in leaves if leaf is None]
    return [Found(hit=hit, leaf=leaf) for hit, leaf in leaves if leaf is not None], lost

"""What a folder holds beside its card for those who ask by which right: POLICY.md, and training-content.md of the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan.data.shard import read_shards
from yulan.layout import MANIFEST
from yulan.recipe import Book
from yulan.recipe.outcome import PASSED_ON
from yulan.release.bundle.inputs import UNKNOWN, Inputs
from yulan.release.card.duties import DUTIES, words
from yulan.release.card.evidence import CONTENT, POLICY
from yulan.release.card.write import write_page


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """Whether a source's text is published."""

    source: str
    licence: str
    attribution: str
    published: bool
    why: str


def text_of(book: Book, name: str) -> Text:
    """What becomes of a source's text, and why."""
    source = book.sources.sources[name]
    named = name in book.recipe.release.text
    if source.synthetic:
        why = "made by this project"
    elif named:
        why = "the recipe names it, and its licence lets it be passed on"
    elif source.licence == UNKNOWN:
        why = "no licence is stated"
    elif source.licence in PASSED_ON:
        why = "its licence would let it be passed on, and the recipe does not name it"
    else:
        why = "its licence is not one under which this project passes text on"
    about = {"source": name, "licence": source.licence, "attribution": source.attribution}
    return Text(**about, published=source.synthetic or named, why=why)


def place_policy(inputs: Inputs, folder: Path, summary: Mapping[str, Any] | None = None) -> None:
    """Write POLICY.md; `summary` is that of the data, whose folder alone can prove shares of tokens."""
    book = inputs.book
    texts = [text_of(book, name) for name in inputs.used]
    withheld: dict[str, list[str]] = {}
    for text in texts:
        if not text.published:
            withheld.setdefault(text.why, []).append(text.source)
    licences = summary["licences"] if summary else sorted({text.licence for text in texts})
    published = [text for text in texts if text.published]
    write_page(
        folder,
        "policy",
        POLICY,
        {MANIFEST: {"summary": summary}},
        **inputs.common(),
        spdx=spdx,
        shares=summary is not None,
        asked={licence: words(licence) for licence in licences},
        published=published,
        withheld=withheld,
        alike=[text.source for text in published if text.licence in DUTIES and DUTIES[text.licence].share_alike],
        seeded=_seeded(book),
        generator=book.sources.generator if book.recipe.data.synthesize.model is None else None,
    )


def spdx(licence: str) -> str:
    """A licence in a page: an id is code, `unknown` a word."""
    return licence if licence == UNKNOWN else f"`{licence}`"


def _seeded(book: Book) -> dict[str, tuple[str, str]]:
    """Families of synthetic text that were made from documents of a source, with that source and its licence."""
    families, known = book.recipe.data.synthesize.families, {name: each.licence for name, each in book.sources.sources.items()}
    named = {name: family.options.get("source") for name, family in families.items() if f"synthetic/{name}" in known}
    return {name: (source, known[source]) for name, source in named.items() if isinstance(source, str) and source in known}


def place_content(inputs: Inputs, folder: Path, manifests: Mapping[str, Mapping[str, Any]], summary: Mapping[str, Any]) -> None:
    """Write training-content.md; `manifests` are those of the stages on text, by stage."""
    book, shards = inputs.book, read_shards(inputs.shards).sources
    sources = {name: book.sources.sources[name] for name in inputs.used}
    clean = manifests.get("clean", {}).get("summary", {})
    write_page(
        folder,
        "training-content",
        CONTENT,
        {MANIFEST: {"summary": summary}},
        **inputs.common(),
        spdx=spdx,
        summary=summary,
        size=size_class(summary["tokens"]),
        public={name: where(book, name) for name, source in sources.items() if not source.synthetic},
        crawled=[name for name, source in sources.items() if source.reader == "warc"],
        synthetic=[name for name, source in sources.items() if source.synthetic],
        generator=book.sources.generator,
        endpoint=book.recipe.data.synthesize.model,
        masked=clean.get("masked", {}),
        dropped=[stage for stage, raw in manifests.items() if "dropped" in raw["summary"]],
        shards=shards,
        used=sources,
    )


def where(book: Book, name: str) -> str | None:
    """Where a source was got, as code; None: nobody says."""
    source = book.sources.sources[name]
    key = source.package or ""
    if key in book.sources.packages:
        return f"{key}=={book.sources.packages[key].version}"
    if key in book.sources.folders:
        return book.sources.folders[key].address
    return None if source.hub in (None, UNKNOWN) else source.hub


def size_class(tokens: int) -> str:
    """The range of text that the EU's template asks for."""
    if tokens < 10**9:
        return "less than 1 billion tokens"
    return "1 billion to 10 trillion tokens" if tokens <= 10**13 else "more than 10 trillion tokens"

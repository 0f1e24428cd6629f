"""Rules about what the licences of text ask: counted by tokens, met, and told."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from yulan.errors import DataError
from yulan.release.card.duties import DUTIES, lines_of
from yulan.release.card.evidence import CARDS
from yulan.release.card.write import words
from yulan.release.gate.bundle import Bundle
from yulan.release.gate.rule import Noted

PUBLISHED = "published"


def licences_counted(bundle: Bundle) -> Iterator[str | Noted]:
    """sources.csv has each source that a mix draws on and no other, under its licence; the tokens under each are counted."""
    book = bundle.book
    rows = {row["source"]: row for row in bundle.sources}
    trained = Counter[str]()
    for name, phase in book.recipe.phases.items():
        trained.update(book.mix(name).quotas(phase.tokens))
    trained = +trained
    yield from (f"no row for {name}: {trained[name]:,} tokens of the mixes" for name in sorted(trained.keys() - rows.keys()))
    yield from (f"a row for {name}, of which no mix takes a token" for name in sorted(rows.keys() - trained.keys()))
    by, texts = Counter[str](), defaultdict[str, set[bool]](set)
    for name in sorted(rows.keys() & trained.keys()):
        for key in ("licence", "attribution"):
            if name in book.sources.sources and rows[name][key] != (own := getattr(book.sources.sources[name], key)):
                yield f"{name}: its {key} is {rows[name][key]!r}, that of the recipe {own!r}"
        by[rows[name]["licence"]] += trained[name]
        texts[rows[name]["licence"]].add(rows[name]["text"] == PUBLISHED)
    for licence, tokens in by.most_common():
        said = {frozenset({True}): "text published", frozenset({False}): "no text published"}
        text = said.get(frozenset(texts[licence]), "some of its text published")
        yield Noted(f"{licence}: {tokens / by.total():.1%} of {by.total():,} tokens; {text}")


def duties_met(bundle: Bundle) -> Iterator[str | Noted]:
    """Published text of others carries what its licence asks: who made it, the licence, that it was changed, share-alike."""
    book = bundle.book.sources.sources
    published = [row for row in bundle.sources if row["text"] == PUBLISHED and row["source"] in book]
    others = [row for row in published if not book[row["source"]].synthetic]
    for row in others:
        if row["licence"] not in DUTIES:
            yield f"{row['source']}: nobody wrote down what {row['licence']} asks"
        elif DUTIES[row["licence"]].attribution and not row["attribution"].strip():
            yield f"{row['source']}: {row['licence']} asks whom to name, and nobody is named"
    wanted = {row["source"]: (row["licence"], row["attribution"]) for row in others}
    for language, (card, _) in CARDS.items():
        try:
            said = (bundle.data / card).read_text(encoding="utf-8").splitlines()
            lines = lines_of(wanted, words(language))
            yield from (f"{card} does not say of {name}: {line}" for name, line in lines.items() if line not in said)
        except DataError as error:
            yield f"{card}: {error.what}"
    for name, (licence, attribution) in sorted(wanted.items()):
        duty = DUTIES.get(licence)
        if duty is not None and duty.attribution:
            alike = ", passed on under it only" if duty.share_alike else ""
            yield Noted(f"{name}: {licence}, name {attribution}{alike}")

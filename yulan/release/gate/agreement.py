"""The rule about sentences that cannot both be true: what cards, tables and headers say of one thing."""

import re
from collections.abc import Iterator
from pathlib import Path

from yulan.recipe.outcome import PASSED_ON
from yulan.release.card.duties import DUTIES
from yulan.release.card.evidence import CARDS
from yulan.release.card.write import words
from yulan.release.gate.bundle import Bundle, Folder
from yulan.release.gate.claims import UNKNOWN, front_matter, stated_licences
from yulan.release.gate.described import CROISSANT
from yulan.release.gate.licences import PUBLISHED
from yulan.schema import load_json

WITHHELD = "Not published"
TRAINING = "per source, in `sources.csv` of the data repository"
_NAME = re.compile(r"`([^`\n]+)`")


def sentences_agree(bundle: Bundle) -> Iterator[str]:
    """No two sentences contradict each other: cards, LICENSE, croissant.json, sources.csv and files tell one story of
    licences, of who made a text, and of whether it is published."""
    for folder in bundle.folders:
        yield from (f"{folder}: {row}" for row in _licence_file(folder, stated_licences(bundle, folder)))
        for page in sorted(folder.path.glob("*.md")):
            card = page.read_text(encoding="utf-8")
            yield from (f"{folder}: {page.name} {row}" for row in (*_sources(bundle, card), *_artifacts(bundle, page.name, card)))
        header = front_matter(folder.path / "README.md")
        if folder.part == "model" and header.get("datasets") != [f"{bundle.release.name}-data"]:
            yield f"{folder}: its card names the data {header.get('datasets')}, the release {bundle.release.name}-data"
    described = {str(each).rpartition("/")[2] for each in load_json(bundle.data / CROISSANT)["license"]}
    (data,) = bundle.of("data")
    if described != set(stated_licences(bundle, data)):
        yield f"{CROISSANT} says {', '.join(sorted(described))}, the card {', '.join(stated_licences(bundle, data))}"
    yield from _texts(bundle)


def _licence_file(folder: Folder, stated: tuple[str, ...]) -> Iterator[str]:
    path = folder.path / "LICENSE"
    first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0] if path.is_file() else ""
    told = first.removeprefix("SPDX-License-Identifier: ") if first.startswith("SPDX") else first.removesuffix(" License")
    if sorted(told.split(" AND ")) != sorted(stated):
        yield f"LICENSE is of {told!r}, the card of {' AND '.join(stated)}"


def _rows(card: str) -> Iterator[list[str]]:
    """Cells of every line of a table."""
    for line in card.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def _sources(bundle: Bundle, card: str) -> Iterator[str]:
    """A row that begins with a source's name gives its licence and no other, wherever it stands."""
    licences = {row["source"]: row["licence"] for row in bundle.sources}
    known = {*PASSED_ON, *DUTIES, UNKNOWN, *licences.values()}
    for cells in _rows(card):
        own = licences.get(cells[0].strip("`"))
        if own is not None:
            others = ({cell.strip("`") for cell in cells[1:]} & known) - {own}
            yield from (f"says that {cells[0]} is under {other}, sources.csv {own}" for other in sorted(others))


def _artifacts(bundle: Bundle, name: str, card: str) -> Iterator[str]:
    """The table of licences is the recipe's, and says that some are unknown where some are."""
    language = next((each for each, (page, _) in CARDS.items() if page == name), None)
    if language is None:
        return
    t, release = words(language), bundle.book.recipe.release
    unknown = any(row["licence"] == UNKNOWN for row in bundle.sources)
    training = f"{TRAINING}, some of them unknown" if unknown else TRAINING
    wanted = {"code": release.licences.code, "weights": release.licences.weights, "optimizer states": release.licences.states}
    wanted |= {"synthetic data": release.licences.synthetic, "training text": training}
    body = card[card.rfind(f"## {t('Licences')}") :]
    told = {cells[0]: cells[1] for cells in _rows(body) if len(cells) == 2}
    for word, licence in wanted.items():
        said = told.get(t(word))
        if said != (t(licence) if word == "training text" else licence):
            yield f"says of the {word}: {said}; it is {licence}"


def _texts(bundle: Bundle) -> Iterator[str]:
    """A text is published where sources.csv says so and cards do not list it as withheld, and only there."""
    book = bundle.book.sources.sources
    for row in bundle.sources:
        name = row["source"]
        if name in book and not book[name].synthetic:
            there = (bundle.data / "text" / name).is_dir()
            if there != (row["text"] == PUBLISHED):
                yield f"sources.csv says of the text of {name}: {row['text']}; it is {'' if there else 'not '}there"
    withheld = {row["source"] for row in bundle.sources if row["text"] != PUBLISHED}
    names = {row["source"] for row in bundle.sources}
    for language, (card, _) in CARDS.items():
        told = set(_NAME.findall(_section(bundle.data / card, f"## {words(language)(WITHHELD)}"))) & names
        yield from (f"{card} lists {name} as not published, and it is" for name in sorted(told - withheld))
        yield from (f"{card} does not list {name} as not published, and it is not" for name in sorted(withheld - told))


def _section(card: Path, heading: str) -> str:
    """Lines under a heading up to the next of its kind."""
    text = card.read_text(encoding="utf-8")
    _, _, rest = text.partition(f"{heading}\n")
    return rest.partition("\n## ")[0]

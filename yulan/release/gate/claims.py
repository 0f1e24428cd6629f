"""Rules about what a release says: lists of checkpoints, cards, licences, text."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yulan.errors import YulanError
from yulan.release.card.evidence import FORMATS, PAGES, load, lookup, read_evidence, unproven
from yulan.release.gate.bundle import Bundle, Folder
from yulan.release.gate.rule import Waived
from yulan.release.gate.weights import CHECKPOINT
from yulan.release.names import MAIN, Part
from yulan.schema import yaml_of
from yulan.train.checkpoint.state import read_state

UNKNOWN = "unknown"


def checkpoints_complete(bundle: Bundle) -> Iterator[str]:
    """checkpoints.csv has a row for every branch of the model, true in step, tokens and digests, and both copies are equal."""
    model, states = bundle.release.model.revisions, bundle.release.states.revisions
    rows = {row["revision"]: row for row in bundle.checkpoints}
    yield from (f"no row for {name}" for name in sorted(model.keys() - rows.keys()))
    yield from (f"a row for {name}, which is not there" for name in sorted(rows.keys() - model.keys()))
    for name in sorted(rows.keys() & model.keys()):
        row, own = rows[name], rows[name]["alias_of"] or name
        if row["digest"] != model[name] or row["states"] != states.get(own):
            yield f"{name}: another digest"
        elif (state := read_state(bundle.path / "states" / own / CHECKPOINT)) and (
            (row["step"], row["tokens"]) != (str(state.global_step), str(state.tokens))
        ):
            yield f"{name}: step {row['step']} and {row['tokens']} tokens are not the trainer's"
    ends = {row["phase"] for row in bundle.checkpoints}
    yield from (f"no checkpoint of {phase}" for phase in bundle.book.recipe.phases if phase not in ends)
    copies = [bundle.path / part / MAIN / "checkpoints.csv" for part in ("model", "states")]
    if copies[0].read_bytes() != copies[1].read_bytes():
        yield "the copies in model and states differ"


def numbers_proven(bundle: Bundle) -> Iterator[str]:
    """Every number in a card, or in another page beside it, was read from a result file there, and equals it."""
    for folder, name in ((each, name) for each in bundle.folders for name in pages(each.path)):
        if name not in PAGES:
            yield f"{folder}: nothing says where the numbers of {name} are from"
            continue
        try:
            figures = read_evidence(folder.path / PAGES[name]).figures
            card = (folder.path / name).read_text(encoding="utf-8")
            yield from (f"{folder}: {row}" for row in unproven(card, figures))
            files: dict[str, Any] = {}
            for figure in figures:
                if figure.file not in files:
                    files[figure.file] = load(_inside(folder.path, figure.file))
                value = lookup(files[figure.file], figure.key, figure.file)
                if FORMATS[figure.format](value) != figure.text:
                    yield f"{folder}: {figure.text!r} is {value!r} in {figure.file} {figure.key}"
        except YulanError as error:
            yield f"{folder}: {error.what}"


def pages(folder: Path) -> list[str]:
    """The card and every other page of a folder."""
    return sorted({"README.md", *(path.name for path in folder.glob("*.md"))})


def _inside(folder: Path, name: str) -> Path:
    """A file of the folder; a name that leads elsewhere finds nothing."""
    path = folder / name
    return path if path.resolve().is_relative_to(folder.resolve()) else folder / "outside"


def licences_stated(bundle: Bundle) -> Iterator[str | Waived]:
    """Every artifact and every source states its licence; `unknown` only with a recorded reason."""
    release = bundle.book.recipe.release
    for folder in bundle.folders:
        stated = stated_licences(bundle, folder)
        told = front_matter(folder.path / "README.md").get("license", "")
        if sorted(str(each).lower() for each in (told if isinstance(told, list) else [told])) != sorted(map(str.lower, stated)):
            yield f"{folder}: its card says {told!r}, the recipe {' and '.join(stated)}"
        if not (folder.path / "LICENSE").is_file():
            yield f"{folder}: no LICENSE"
    yield from (f"{row['source']} states no licence" for row in bundle.sources if not row["licence"].strip())
    unknown = [row["source"] for row in bundle.sources if row["licence"] == UNKNOWN]
    unknown += [part for part, licence in own_licences(bundle).items() if licence == UNKNOWN]
    for name in unknown:
        yield Waived(f"{name}: {release.unknown_licence}") if release.unknown_licence else f"{name}: its licence is unknown"


def own_licences(bundle: Bundle) -> dict[Part, str]:
    """What the recipe puts each of the three repositories under."""
    licences = bundle.book.recipe.release.licences
    return {"data": licences.synthetic, "states": licences.states, "model": licences.weights}


def stated_licences(bundle: Bundle, folder: Folder) -> tuple[str, ...]:
    """The recipe's; of the data also those of the text that is published."""
    own = own_licences(bundle)[folder.part]
    texts = {row["licence"] for row in bundle.sources if row["text"] == "published"} if folder.part == "data" else set()
    return (own, *sorted(texts - {own}))


def removed_left_out(bundle: Bundle) -> Iterator[str]:
    """No file of the data holds text of a document that was removed on request, or text that was made from one."""
    import pyarrow.parquet as pq

    removed = bundle.book.removed.ids
    for path in sorted(bundle.data.rglob("*.parquet")) if removed else ():
        columns = pq.read_schema(path).names
        for key in {"id", "seed_document"} & set(columns) if "text" in columns else ():
            found = removed & set(pq.read_table(path, columns=[key], partitioning=None)[key].to_pylist())
            yield from (f"{bundle.name(path)} holds text of the removed document {each[:12]}" for each in sorted(found))


def front_matter(card: Path) -> dict[str, Any]:
    """The YAML header of a card; empty where there is none that can be read."""
    return header_of(card.read_text(encoding="utf-8")) if card.is_file() else {}


def header_of(card: str) -> dict[str, Any]:
    """The same of a card's text."""
    found = re.match(r"\A---\r?\n(.*?)\r?\n---\r?\n", card, re.DOTALL)
    try:
        header = yaml_of(found[1]) if found else {}
    except ValueError:
        header = {}
    return header if isinstance(header, dict) else {}

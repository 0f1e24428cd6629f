"""`yulan data seen DOC|TEXT`."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from yulan.cli.data.spans import Found
    from yulan.cli.data.where import Where
    from yulan.data.index.read import Answer, Leaf
    from yulan.data.index.seen import Published

SHOWN = 20
"""Documents that are told of one span; --json has all."""
FORMS = {
    "id": "asked by its id",
    "raw": "asked by its raw text",
    "cleaned": "asked by its text after cleaning",
    "masked": "asked by its text before personal data was masked",
    "twin": "asked by a copy that was dropped in its favour",
}


@click.command()
@click.argument("what", metavar="DOC|TEXT")
@click.option("--in", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A pulled data repository.")
@click.option("--proof", type=click.Path(dir_okay=False, path_type=Path), help="Write the proof there, for check_index.py.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of sentences.")
def seen(what: str, folder: Path | None, proof: Path | None, as_json: bool) -> None:
    """Every phase, step and position where a document was trained on, with its path to the root of the published index.

    DOC: an id, 64 hex digits. TEXT: a whole document, or a span of 50 ids once `yulan data spans` has run; @FILE reads it from
    a file, - from standard input. The proof of a span is that of the first document listed.
    """
    from yulan import files
    from yulan.cli.data.where import where
    from yulan.data.index import seen as ask

    here = where(folder)
    source = ask.published(here.folder)
    answer, spans, lost = _asked(here, source, what)
    skipped = _skipped(here, answer)
    if proof is not None:
        first = replace(answer, asked=spans[0].leaf.id, leaf=spans[0].leaf, neighbours=()) if spans else answer
        files.write_json(proof, ask.proof(first, source))
    if as_json:
        click.echo(json.dumps(_object(answer, source, spans, lost, skipped), ensure_ascii=False))
    elif answer.leaf is not None:
        _tell_yes(answer, answer.leaf, source, skipped)
        click.echo("".join(f"{line}\n" for line in lost), nl=False)
    elif spans:
        _tell_spans(source, spans)
    else:
        _tell_no(answer, source, lost)


def _asked(here: "Where", source: "Published", what: str) -> "tuple[Answer, list[Found], list[str]]":
    """The answer, documents that hold the text where it is none, and what else is known where there is neither."""
    if re.fullmatch(r"[0-9a-f]{64}", what):
        answer = source.index.ask(what, "id")
        return answer, [], _fate(here, answer)
    if re.fullmatch(r"[0-9A-Fa-f]{16,}", what):
        raise click.BadParameter("an id has 64 digits of 0-9a-f; give a text of such digits as @FILE")
    from yulan.cli.data.spans import look
    from yulan.data.index.text import ask_text

    text = _text(what)
    answer = ask_text(source.index, text)
    lost = _fate(here, answer)
    if answer.leaf is not None or lost:
        return answer, [], lost
    spans, lost = look(here, source.index, text)
    return replace(answer, form="span") if spans else answer, spans, lost


def _text(what: str) -> str:
    """Line ends as they are: the digest of a text makes them alike, the text itself does not."""
    if what == "-":
        data = sys.stdin.buffer.read()
    elif what.startswith("@"):
        path = Path(what[1:])
        if not path.is_file():
            raise click.BadParameter(f"no such file to read a text from: {path}")
        data = path.read_bytes()
    else:
        return what
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise click.BadParameter("the text is not UTF-8; documents are") from None


def _fate(here: "Where", answer: "Answer") -> list[str]:
    """Lines on what is not in the index; and on what was removed and is still there, since nothing was built since."""
    known = here.book.removed.find(answer.asked)
    asked = known.goes_with if known is not None and known.goes_with else None
    said = f"removed on request on {known.date}" if known is not None else ""
    lines = [said + (f", with document {asked}" if asked else "")] if known is not None else []
    if answer.leaf is not None:
        return [f"{line}; this build is of before" for line in lines]
    if here.layout is None:
        return lines
    from yulan.data.index.fate import fate

    return lines + fate(here.layout, here.book, answer.asked)


def _skipped(here: "Where", answer: "Answer") -> set[tuple[str, int]]:
    """Phase and step of the places whose step updated nothing, as the clone's last checkpoint of the phase has it."""
    if answer.leaf is None or here.layout is None:
        return set()
    from yulan.train.checkpoint.scan import step_name, steps_in
    from yulan.train.checkpoint.state import read_state

    found = set()
    places = {(at["phase"], at["step"]) for copy in answer.leaf.content["copies"] for at in copy["seen"]}
    for phase in sorted({phase for phase, _ in places}):
        folder = here.layout.stage("train", phase).data / "checkpoints"
        steps = steps_in(folder) if folder.is_dir() else []
        found |= {(phase, step) for step in read_state(folder / step_name(steps[-1])).skipped} if steps else set()
    return places & found


def _tell_yes(answer: "Answer", leaf: "Leaf", source: "Published", skipped: set[tuple[str, int]]) -> None:
    content = leaf.content
    click.echo(f"document {leaf.id}, {FORMS[answer.form]}")
    for copy in content["copies"]:
        known = copy["text"] or leaf.id
        same = "as it came" if known == leaf.id else f"cleaned, sha256 of the text {known}"
        click.echo(f"trained on from {copy['source']}, {copy['tokens']:,} ids with its end, {same}")
        for at in copy["seen"]:
            inputs = f"inputs {at['position']} to {at['position'] + at['length'] - 1}"
            ids = f"ids {at['start']} to {at['start'] + at['length'] - 1} of it"
            step = f"{at['phase']:16} step {at['step']:8,}  micro-batch {at['micro']:3}  row {at['row']:8,}"
            note = ", but the step's update was skipped" if (at["phase"], at["step"]) in skipped else ""
            click.echo(f"  {step}  {inputs}: {ids}{note}")
    for twin in content["twins"]:
        click.echo(f"a copy of it was dropped: {twin}")
    click.echo(f"leaf {leaf.number:,} of the {_anchor(source)}; {len(leaf.path)} hashes lead there")


def _tell_spans(source: "Published", spans: "list[Found]") -> None:
    click.echo(f"a span of {len(spans):,} document{'s' * (len(spans) > 1)}, asked by its text")
    for found in spans[:SHOWN]:
        hit, leaf = found.hit, found.leaf
        click.echo(f"document {leaf.id} of {hit.source}, leaf {leaf.number:,}: ids {hit.start} to {hit.start + hit.length - 1}")
        for at in found.places:
            step = f"{at['phase']:16} step {at['step']:8,}  micro-batch {at['micro']:3}  row {at['row']:8,}"
            inputs = f"inputs {at['position']} to {at['position'] + at['length'] - 1}"
            click.echo(f"  {step}  {inputs}: ids {at['start']} to {at['start'] + at['length'] - 1} of it")
    if len(spans) > SHOWN:
        click.echo(f"… and {len(spans) - SHOWN:,} more; --json has them all")
    click.echo(f"leaves of the {_anchor(source)}")


def _tell_no(answer: "Answer", source: "Published", lost: list[str]) -> None:
    click.echo(f"{answer.asked} is not in the {_anchor(source)}")
    for leaf in answer.neighbours:
        click.echo(f"  {'before' if leaf.id < answer.asked else 'after':6} {leaf.id}, leaf {leaf.number:,}")
    for line in lost:
        click.echo(f"  {line}")


def _anchor(source: "Published") -> str:
    header = source.index.header
    pinned = f"root {header.root}, in {source.manifest.name} {source.manifest.digest}"
    return f"published index of {header.documents:,} documents, {pinned}"


def _object(
    answer: "Answer", source: "Published", spans: "list[Found]", lost: list[str], skipped: set[tuple[str, int]]
) -> dict[str, object]:
    leaf, header = answer.leaf, source.index.header
    return {
        "asked": answer.asked,
        "form": answer.form,
        "found": leaf is not None or bool(spans),
        "document": leaf.content if leaf is not None else None,
        "leaf": leaf.number if leaf is not None else None,
        "path": list(leaf.path) if leaf is not None else None,
        "spans": [
            {
                "document": each.leaf.id,
                "leaf": each.leaf.number,
                "source": each.hit.source,
                "start": each.hit.start,
                "length": each.hit.length,
                "seen": each.places,
            }
            for each in spans
        ],
        "neighbours": [{"leaf": each.number, "id": each.id} for each in answer.neighbours],
        "lost": lost,
        "skipped": [{"phase": phase, "step": step} for phase, step in sorted(skipped)],
        "documents": header.documents,
        "root": header.root,
        "manifest": source.manifest.digest,
    }

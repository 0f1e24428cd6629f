"""The data repository: synthetic text, and of all other text ids, lengths and licences only."""

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from yulan import files
from yulan.data.contamination import NAME as CONTAMINATION
from yulan.data.contamination import read_contamination
from yulan.data.score.result import NAME as SCORES
from yulan.data.score.result import read_scores
from yulan.data.shard import DOCUMENTS, INDEX, read_shards
from yulan.release.bundle.inputs import Inputs
from yulan.release.card.write import write_card
from yulan.release.seal import seal
from yulan.schema import load_json

FAMILIES = "families.json"
SOURCES = "sources.csv"
PICTURES = {"flow": "What became of the documents", "mixes": "What each phase read"}
COLUMNS = pa.schema([("source", pa.string()), ("id", pa.string()), ("start", pa.uint64()), ("length", pa.uint32())])


def lay_data(inputs: Inputs, folder: Path) -> str:
    """Fill `folder`; returns its content digest."""
    recipe, sources = inputs.book.recipe, inputs.book.sources
    inputs.place_common(folder, recipe.release.licences.synthetic)
    files.link(inputs.shards / INDEX, folder / INDEX)
    files.link(inputs.scored / SCORES, folder / SCORES)
    for split in ("train", "held"):
        _write_documents(inputs, split, folder / "documents" / f"{split}.parquet")
    for phase, mix in inputs.mixes.items():
        files.link_tree(mix, folder / "packs" / phase)
    files.link_tree(inputs.index, folder / "index")
    families = _place_synthetic(inputs, folder)
    tested = _place_contamination(inputs, folder)
    _write_sources(inputs, folder / SOURCES)
    pictures = inputs.place_pictures(folder, PICTURES)
    write_card(
        folder,
        "data",
        {},
        **inputs.common(),
        families=families,
        figures=pictures,
        tasks=recipe.data.synthesize.families,
        generator=_generator(inputs),
        sources={name: sources.sources[name] for name in read_shards(inputs.shards).sources},
        phases=list(inputs.mixes),
        tested=tested,
        scores=read_scores(inputs.scored),
    )
    upstream = {"shards", "scored", "synthesize", "mix", "index", "decontaminated"}
    made = {key: value for key, value in inputs.digests.items() if key.partition("@")[0] in upstream}
    return seal(folder, name=f"{recipe.name}/data/main", inputs=made, keys={}, summary={"sources": len(inputs.used)}).digest


def _generator(inputs: Inputs) -> str:
    """What the text was made with, in words."""
    local, model = inputs.book.sources.generator, inputs.book.recipe.data.synthesize.model
    if model is not None:
        return f"`{model.name}` at revision `{model.revision}`, behind an endpoint that nothing here can prove to serve it"
    return f"a small local model, `{local.path.rpartition('/')[2]}` ({local.licence})" if local is not None else "no model"


def _write_documents(inputs: Inputs, split: str, path: Path) -> None:
    """One row a document: source, id, where it lies in the source's tokens, and how long it is."""
    with files.open_new(path) as file, pq.ParquetWriter(file, COLUMNS) as writer:
        for source in sorted(read_shards(inputs.shards).sources):
            table = pq.read_table(inputs.shards / source / split / DOCUMENTS)
            named = table.append_column("source", pa.array([source] * len(table), pa.string()))
            writer.write_table(named.select(COLUMNS.names).cast(COLUMNS))


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
    made = load_json(index)["families"]
    return sorted(
        (name for name, family in made.items() if family["kept"]), key=lambda name: (made[name]["check"] == "none", name)
    )


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
        text = "published" if source.synthetic else "fetched from its package" if source.package else "published by others"
        about = [source.family, source.language, source.licence, source.attribution, source.package or "", version]
        rows.writerow([name, *about, split.documents, split.tokens, text])
    files.write_text(path, out.getvalue())

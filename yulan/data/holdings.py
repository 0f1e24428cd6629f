"""Where a build holds documents: which of its files, and as what."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from yulan import digest
from yulan.data.drops import NAME, read_drops
from yulan.data.index.fate import rows_of
from yulan.data.index.header import FORMS, HEADER, LEAVES
from yulan.data.index.read import Index
from yulan.data.readers import documents
from yulan.data.shard import DAMAGE, DOCUMENTS, INDEX, SPLITS, read_shards
from yulan.data.sources import located
from yulan.data.tables import holding
from yulan.errors import DataError
from yulan.recipe.sources import Source
from yulan.schema import load_yaml

Kind = Literal["text", "tokens", "id"]
TELLING = frozenset({"text", "span", "question", "answer"})
"""Columns that hold words of a document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    file: str
    """Relative to the folder."""
    kind: Kind
    """Its text or some of it; its token ids; its id only, which tells nothing of it."""


def holdings(folder: Path, ids: Collection[str]) -> list[Holding]:
    """Files below a stage's data, or a data repository, that hold any of the documents; sorted, none where there is nothing.

    Raises: DataError: a file is not what its name says.
    """
    if not folder.is_dir():
        return []
    found = {each.file: each for each in _all(folder, ids)}
    return [found[name] for name in sorted(found)]


def _all(folder: Path, ids: Collection[str]) -> Iterator[Holding]:
    for path in sorted(folder.rglob("*.parquet")):
        if _has(path, ids):
            name = path.relative_to(folder).as_posix()
            yield Holding(file=name, kind="text" if TELLING & set(pq.read_schema(path).names) else "id")
    for path in sorted(folder.rglob(NAME)):
        reasons = [reason for flow in read_drops(path.parent).sources.values() for reason in flow.reasons.values()]
        if any(sample.id in ids for reason in reasons for sample in reason.samples):
            yield Holding(file=path.relative_to(folder).as_posix(), kind="text")
    for path in sorted(folder.rglob(HEADER)):
        yield from _indexed(folder, path.parent, ids)
    if (folder / INDEX).is_file():
        yield from _tokens(folder, ids)


def _has(path: Path, ids: Collection[str]) -> bool:
    """Whether a table has a row of a document, or one made from it."""
    try:
        with pq.ParquetFile(path) as file:
            keys = {"id", "seed_document"} & set(file.schema_arrow.names)
            return any(True for key in keys for _ in holding(file, key, ids, ordered=False))
    except DAMAGE as error:
        what = f"not a whole Parquet file ({error.__class__.__name__})"
        raise DataError(what, where=path, cure="Build the stage again") from None


def _indexed(folder: Path, place: Path, ids: Collection[str]) -> Iterator[Holding]:
    index = Index(place)
    prefix = place.relative_to(folder)
    if any(index.find(each) or index.others(each) for each in ids):
        yield from (Holding(file=(prefix / name).as_posix(), kind="id") for name in (LEAVES, FORMS))


def _tokens(folder: Path, ids: Collection[str]) -> Iterator[Holding]:
    """Shard files in which a document's ids lie; a data repository has the list of shards and not the shards."""
    for source, parts in read_shards(folder).sources.items():
        for split in SPLITS:
            table = folder / source / split / DOCUMENTS
            spans = [(row["start"], row["start"] + row["length"]) for each in ids for row in rows_of(table, each)]
            begin = 0
            for file in getattr(parts, split).files:
                end = begin + file.tokens
                if any(start < end and begin < stop for start, stop in spans):
                    yield Holding(file=file.path, kind="tokens")
                begin = end


def upstream(folder: Path, sources: Mapping[str, Source], ids: Collection[str]) -> list[Holding]:
    """Files of the pinned packages, below the data of `sources`, that a document is read from: others published them."""
    found = set()
    for name, source in sources.items():
        for path in located(folder, source) if source.package is not None and (folder / source.package).is_dir() else ():
            if any(isinstance(text, str) and digest.of_text(text) in ids for text in documents(source, name, [path])):
                found.add(path.relative_to(folder).as_posix())
    return [Holding(file=name, kind="text") for name in sorted(found)]


def group(copies: Path, synthetic: Path, identity: str) -> list[str]:
    """Documents that go with one: exact and near copies, and synthetic text that was made from any of them; sorted.

    `copies` is drops.parquet of the de-duplication, `synthetic` the data folder of `synthesize`. Copies go because they say
    the same: the next build would take one of them in the document's place.
    """
    known, new = set[str](), {identity}
    pairs = _pairs(copies)
    made = _made(synthetic)
    while new:
        known |= new
        near = {other for one, other in pairs if one in new} | {one for one, other in pairs if other in new}
        near |= {row for row, seed in made if seed in new}
        new = near - known
    return sorted(known - {identity})


def _pairs(copies: Path) -> list[tuple[str, str]]:
    if not copies.is_file():
        return []
    table = pq.read_table(copies, columns=["id", "kept"], partitioning=None)
    return list(zip(table["id"].to_pylist(), table["kept"].to_pylist(), strict=True))


def _made(synthetic: Path) -> list[tuple[str, str]]:
    """Id and seed document of each synthetic row."""
    found: list[tuple[str, str]] = []
    for path in sorted(synthetic.rglob("*.parquet")) if synthetic.is_dir() else []:
        if {"id", "seed_document"} <= set(pq.read_schema(path).names):
            table = pq.read_table(path, columns=["id", "seed_document"], partitioning=None)
            found += zip(table["id"].to_pylist(), table["seed_document"].to_pylist(), strict=True)
    return found


def cached(lock: Path, cache: Path, out: str) -> tuple[str, dict[str, str]]:
    """Name in DVC's cache of an output's list, and of each of its files by path; empty where dvc.lock or the cache lacks it."""
    stages = (load_yaml(lock).get("stages") or {}) if lock.is_file() else {}
    outs = {each["path"]: str(each["md5"]) for stage in stages.values() for each in stage.get("outs") or []}
    if out not in outs:
        return "", {}
    listed = _object(outs[out])
    path = cache / listed
    rows = json.loads(path.read_bytes()) if path.is_file() and listed.endswith(".dir") else []
    return listed, {row["relpath"]: _object(row["md5"]) for row in rows}


def _object(md5: str) -> str:
    return f"files/md5/{md5[:2]}/{md5[2:]}"

"""Make the published index: one leaf a document that a phase trains on, sorted by id, and the tree over the leaves."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from yulan import digest, files
from yulan.data.documents import is_held_out, read_documents, source_names
from yulan.data.index import tree
from yulan.data.index.header import FORMS, HEADER, LEAVES, OFFSETS, TREE, Header, Stretch
from yulan.data.index.places import Places, Table, Windows, documents_of
from yulan.data.shard import DOCUMENTS, read_shards
from yulan.errors import DataError
from yulan.recipe import Recipe
from yulan.schema import plain

EVERYTHING = 1 << 62


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """Folders that the index is made from."""

    shards: Path
    text: Path
    """Where the documents' text lies, as it was made into tokens."""
    copies: Path
    """drops.parquet of the de-duplication."""
    mixes: Mapping[str, Path]
    digests: Mapping[str, str]
    """Content digest of each phase's mix."""


def stretch(recipe: Recipe, phase: str, mix: str, windows: Windows) -> Stretch:
    about, header = recipe.phase(phase), windows.header
    return Stretch(
        mix=mix,
        before=recipe.start(phase),
        windows=header.windows,
        context=header.context,
        batch=about.batch,
        grid=about.grid,
    )


def write_index(recipe: Recipe, made: Made, into: Path) -> Header:
    """Fill `into`; the bytes depend on the recipe and the data alone.

    Raises: DataError: the text is not the one that the shards were made from.
    """
    shards = read_shards(made.shards)
    tables: dict[str, Table] = {}

    def documents(source: str, low: int, high: int) -> Table:
        if source not in tables:
            tables[source] = documents_of(made.shards / source / "train" / DOCUMENTS, 0, EVERYTHING)
        return tables[source]

    phases: dict[str, Stretch] = {}
    places: dict[str, list[tuple[str, Places]]] = defaultdict(list)
    for name in recipe.phases:
        windows = Windows.open(made.mixes[name], shards)
        phases[name] = stretch(recipe, name, made.digests[name], windows)
        for found in windows.places(np.arange(windows.header.windows), documents):
            places[found.source].append((name, found))
    streams = [
        _copies(source, tables[source], _seen(places[source], phases, recipe.seed), made.text, recipe.data.shards.held_out)
        for source in sorted(places)
    ]
    hashes, forms = _write_leaves(heapq.merge(*streams, key=lambda row: row[0]), _twins(made.copies), into)
    levels = tree.levels(hashes)
    files.write_bytes(into / TREE, b"".join(b"".join(level) for level in levels))
    files.write_bytes(into / FORMS, b"".join(bytes.fromhex(key + identity) for key, identity in sorted(forms)))
    header = Header(format=1, documents=len(hashes), root=levels[-1][0].hex(), seed=recipe.seed, phases=phases)
    files.write_json(into / HEADER, plain(header))
    return header


def _seen(found: list[tuple[str, Places]], phases: Mapping[str, Stretch], seed: int) -> dict[int, list[dict[str, Any]]]:
    """For each document of a source, by its number in the stream, where its ids are inputs, in the order of training."""
    seen: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for phase, each in found:
        index = phases[phase].order(seed).indices(each.row)
        step, micro = phases[phase].when(index)
        columns = (each.document, step, micro, each.row, each.position, each.start, each.length)
        by_time = np.lexsort((each.position, index))
        for document, *rest in zip(*(column[by_time].tolist() for column in columns), strict=True):
            keys = ("step", "micro", "row", "position", "start", "length")
            seen[document].append({"phase": phase} | dict(zip(keys, rest, strict=True)))
    return seen


def _copies(
    source: str, table: Table, seen: Mapping[int, list[dict[str, Any]]], text: Path, held_out: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and leaf part of each trained-on document of a source, in id order; published token files have no text."""
    if source not in source_names(text):
        for identity, number in sorted((table.ids[number].as_py(), number) for number in seen):
            yield identity, {"source": source, "text": None, "tokens": int(table.lengths[number]), "seen": seen[number]}
        return
    number = 0
    for ids, texts in read_documents(text, source):
        for identity, said in zip(ids, texts, strict=True):
            if is_held_out(identity, held_out):
                continue
            if number >= len(table.ids) or table.ids[number].as_py() != identity:
                raise DataError(
                    f"document {identity[:12]} is not the next one of the shards",
                    where=text / source,
                    cure="Build the shards again from this text",
                )
            if number in seen:
                tokens = int(table.lengths[number])
                yield identity, {"source": source, "text": digest.of_text(said), "tokens": tokens, "seen": seen[number]}
            number += 1


def _twins(path: Path) -> dict[str, list[str]]:
    """Ids of the copies that were dropped for a document, by its id."""
    found: dict[str, set[str]] = defaultdict(set)
    table = pq.read_table(path, columns=["id", "kept"], partitioning=None)
    for identity, kept in zip(table["id"].to_pylist(), table["kept"].to_pylist(), strict=True):
        if identity != kept:
            found[kept].add(identity)
    return {kept: sorted(ids) for kept, ids in found.items()}


def _write_leaves(
    rows: Iterator[tuple[str, dict[str, Any]]], twins: Mapping[str, list[str]], into: Path
) -> tuple[list[bytes], set[tuple[str, str]]]:
    """Write leaves and offsets; returns the leaves' hashes, and (digest, id) of every other text that leads to a document."""
    hashes: list[bytes] = []
    ends, forms = [0], set()
    with files.open_new(into / LEAVES) as file:
        for identity, group in groupby(rows, key=lambda row: row[0]):
            copies = [copy for _, copy in group]
            here = twins.get(identity, [])
            leaf = digest.canonical({"id": identity, "copies": copies, "twins": here})
            file.write(leaf)
            hashes.append(digest.leaf(leaf))
            ends.append(ends[-1] + len(leaf))
            forms |= {(copy["text"], identity) for copy in copies if copy["text"] not in (identity, None)}
            forms |= {(twin, identity) for twin in here}
    files.write_bytes(into / OFFSETS, np.array(ends, "<u8").tobytes())
    return hashes, forms

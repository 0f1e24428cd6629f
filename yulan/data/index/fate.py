"""Why a document of this clone is not in the index: the stage it got lost at, and what for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from yulan.data import frames
from yulan.data.documents import is_held_out, source_names
from yulan.data.index.text import reason
from yulan.data.shard import DAMAGE
from yulan.data.tables import holding
from yulan.errors import DataError
from yulan.layout import Layout
from yulan.recipe import Book

STAGES = ("raw", "clean", "synthesize", "dedup", "scored", "decontaminated")


def fate(layout: Layout, book: Book, identity: str) -> list[str]:
    """What the stages of a clone know of a document, one line a stage, in their order; none where they are not there."""
    held = {stage: _sources(layout.stage(stage).data, identity) for stage in STAGES}
    lines = []
    for stage in ("raw", "synthesize"):
        lines += [f"{stage}: a document of {source}" for source in held[stage]]
    for source in held["raw"]:
        if layout.stage("clean").data.is_dir() and source not in held["clean"]:
            lines.append(f"clean: dropped from {source}, {_reason(layout, book, source, identity)}")
    for row in rows_of(layout.stage("dedup").data / "drops.parquet", identity):
        lines.append(f"dedup: dropped from {row['source']}, {row['reason']} copy of {row['kept']} of {row['kept_source']}")
    for path in held["scored"]:
        lines += [f"scored: {reason}" for reason in _routed(layout, path, identity)]
    for row in rows_of(layout.stage("decontaminated").data / "matches.parquet", identity):
        shared = f"shares words with item {row['item']} of {row['benchmark']}, characters {row['start']} to {row['end']}"
        lines.append(f"decontaminated: dropped from {row['source']}, {shared}")
    for source in held["decontaminated"]:
        if is_held_out(identity, book.recipe.data.shards.held_out):
            lines.append(f"shards: held out of {source}, to measure on")
        else:
            lines.append(f"mix: no phase takes it from {source}")
    return lines


def _sources(folder: Path, identity: str) -> list[str]:
    names = source_names(folder) if folder.is_dir() else ()
    return [name for name in names if any(rows_of(part, identity, ["id"], ordered=True) for part in frames.parts(folder, name))]


def _routed(layout: Layout, path: str, identity: str) -> Iterator[str]:
    """Why a document of a source that was split is on this path; a source that stays whole has no such columns."""
    for part in frames.parts(layout.stage("scored").data, path):
        if {"score", "probability", "topic"} <= set(pq.read_schema(part).names):
            for row in rows_of(part, identity, ["id", "score", "probability", "topic"], ordered=True):
                said = [f"score {row['score']}, probability {row['probability']:.3f}"] if row["score"] else []
                said += [f"likeliest topic {row['topic']:.3f}"] if row["topic"] is not None else []
                yield f"goes to {path}: {', '.join(said)}"


def _reason(layout: Layout, book: Book, source: str, identity: str) -> str:
    """Judged again: the stage keeps ten samples a reason, not every id."""
    for part in frames.parts(layout.stage("raw").data, source):
        for row in rows_of(part, identity, ["id", "text"], ordered=True):
            return reason(row["text"], book.sources.sources[source], book.recipe.data.clean) or "for no reason of today's recipe"
    return "reason unknown"


def rows_of(path: Path, identity: str, columns: list[str] | None = None, *, ordered: bool = False) -> list[dict[str, Any]]:
    """Rows of a Parquet file with this id; whole rows only of row groups that hold one. `ordered`: the rows are, by id.

    Raises: DataError: not such a table.
    """
    if not path.is_file():
        return []
    try:
        with pq.ParquetFile(path) as file:
            found = [file.read_row_group(group, columns=columns) for group in holding(file, "id", [identity], ordered=ordered)]
    except DAMAGE as error:
        what = f"not a table of documents ({error.__class__.__name__})"
        raise DataError(what, where=path, cure="Build the stage again") from None
    # Not by `filter`: it would import pandas, which takes longer than all the rest.
    return [
        table.slice(row, 1).to_pylist()[0]
        for table in found
        for row, each in enumerate(table["id"].to_pylist())
        if each == identity
    ]

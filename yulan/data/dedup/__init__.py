"""Keep one copy of equal and nearly equal documents, over all sources at once.

Equal: the same cleaned text. Nearly equal: in one group of yulan/data/dedup/minhash.py. Before that a document loses
long lines that it repeats.

The copy that stays is the first by (source's place in the recipe's `priority`, longest text, id, source). An id is a digest of
the text, so the choice depends on contents and recipe alone: not on machine, order or part.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from yulan.data import frames
from yulan.data.clean.language import CODE
from yulan.data.dedup.minhash import Copies, find_copies
from yulan.data.dedup.repeats import read_once
from yulan.data.documents import source_names
from yulan.data.drops import Drops, split, write_drops
from yulan.recipe.corpus import Dedup
from yulan.recipe.sources import Source

DROPS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("kept", pa.string()),
        ("kept_source", pa.string()),
        ("similarity", pa.float64()),
    ]
)
"""drops.parquet: each dropped document with the one that stays for it, and how similar the two are (1: equal)."""
REPEATS = pa.schema([("id", pa.string()), ("source", pa.string()), ("lines", pa.int64())])
"""repeats.parquet: each document that lost lines which it repeated."""


TEXT_COPIES, SIGNATURE_COPIES, ROW_BYTES = 6, 4, 600
"""What a document takes at the peak: its text as Arrow and as Python have it, before and after it is put in order, and as the
words it is compared in; its signature as it is made and flattened; ids, sources, row numbers and object heads. docs/benchmarks.md
holds it to the peak of the process."""


def held_bytes(drops: Drops, rules: Dedup) -> int:
    """Bytes of memory that a document takes at most while copies are looked for; the mean over all."""
    flows = drops.sources.values()
    text = sum(flow.bytes for flow in flows) // max(1, sum(flow.kept for flow in flows))
    return peak_bytes(text, rules)


def peak_bytes(text: int, rules: Dedup) -> int:
    """The same for a document of `text` bytes."""
    return TEXT_COPIES * text + SIGNATURE_COPIES * 4 * rules.bands * rules.rows + ROW_BYTES


def dedup(sources: Mapping[str, Source], folders: list[Path], rules: Dedup, into: Path) -> tuple[Drops, dict[str, int]]:
    """De-duplicate the documents below `folders` together.

    Returns: what was dropped, and how many repeated lines the documents of each source lost.
    """
    names = [(folder, name) for folder in folders for name in source_names(folder)]
    tables = [_read_once(frames.read(frames.parts(folder, name)), sources[name], rules) for folder, name in names]
    table = _by_preference(pa.concat_tables(tables), rules)
    copies = find_copies(table["text"].to_pylist(), rules)
    reasons = _write_drops(table, copies, into)
    repeats = (
        table.filter(pc.greater(table["lines"], 0)).select(REPEATS.names).sort_by([("id", "ascending"), ("source", "ascending")])
    )
    frames.write_part(into / "repeats.parquet", repeats)
    documents = table.select(frames.DOCUMENTS.names)
    flows, owners, by_id = {}, np.asarray(table["source"]), np.asarray(pc.sort_indices(table["id"]))
    for name in sorted(set(owners.tolist())):
        rows = by_id[owners[by_id] == name]
        kept, flows[name] = split(documents.take(rows), [reasons[row] for row in rows.tolist()])
        frames.write(into, name, kept)
    lost = repeats.group_by("source").aggregate([("lines", "sum")])
    return write_drops(into, flows), dict(sorted(zip(lost["source"].to_pylist(), lost["lines_sum"].to_pylist(), strict=True)))


def _read_once(table: pa.Table, source: Source, rules: Dedup) -> pa.Table:
    """The documents without lines that they repeat, and how many each lost."""
    texts = table["text"].to_pylist()
    made = [(text, 0) for text in texts] if source.language == CODE else [read_once(text, rules.repeat_chars) for text in texts]
    columns = {"text": pa.array([text for text, _ in made], pa.string()), "lines": pa.array([n for _, n in made], pa.int64())}
    return pa.table({"id": table["id"], "text": columns["text"], "source": table["source"], "lines": columns["lines"]})


def _by_preference(table: pa.Table, rules: Dedup) -> pa.Table:
    """Rows in an order in which of two copies the one that stays is first."""
    last = len(rules.priority)
    places = {
        name: next((at for at, begin in enumerate(rules.priority) if f"{name}/".startswith(f"{begin}/")), last)
        for name in set(table["source"].to_pylist())
    }
    order = pa.table(
        {
            "place": pa.array([places[name] for name in table["source"].to_pylist()], pa.int64()),
            "length": pc.utf8_length(table["text"]),
            "id": table["id"],
            "source": table["source"],
        }
    )
    keys = [("place", "ascending"), ("length", "descending"), ("id", "ascending"), ("source", "ascending")]
    return table.take(pc.sort_indices(order, sort_keys=keys))


def _write_drops(table: pa.Table, copies: Copies, into: Path) -> list[str | None]:
    """Write why each dropped document goes, by id. Returns: the reason of each row, None where it stays."""
    itself = np.arange(len(table))
    dropped = np.flatnonzero(copies.near != itself)
    told = table.take(dropped)
    kept = table.take(copies.near[dropped])
    reasons = np.where(copies.exact != itself, "exact", "near")[dropped]
    columns = {
        "id": told["id"],
        "source": told["source"],
        "reason": pa.array(reasons.tolist(), pa.string()),
        "kept": kept["id"],
        "kept_source": kept["source"],
        "similarity": pa.array(copies.similarity[dropped], pa.float64()),
    }
    frames.write_part(
        into / "drops.parquet", pa.table(columns, schema=DROPS).sort_by([("id", "ascending"), ("source", "ascending")])
    )
    found: list[str | None] = [None] * len(table)
    for row, reason in zip(dropped.tolist(), reasons.tolist(), strict=True):
        found[row] = reason
    return found

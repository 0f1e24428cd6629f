"""Keep one copy of equal and nearly equal documents, over all sources at once.

Equal: the same cleaned text. Nearly equal: connected by MinHash signatures that agree in a whole band. With b bands
of r hashes two texts of Jaccard similarity s meet with probability 1 - (1 - s^r)^b.

The copy that stays is the one that comes first by (id, source). An id is a digest of the text, so the choice
depends on contents alone: not on machine, order or part, and it favours no source.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from yulan.data import frames
from yulan.data.documents import source_names
from yulan.data.drops import Drops, split, write_drops
from yulan.data.words import words
from yulan.recipe.corpus import Dedup

Rows = npt.NDArray[np.int64]

DROPS = pa.schema(
    [("id", pa.string()), ("source", pa.string()), ("reason", pa.string()), ("kept", pa.string()), ("kept_source", pa.string())]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """For each row the one that stays for it: itself, or one before it."""

    exact: Rows
    near: Rows


def dedup(folders: list[Path], rules: Dedup, into: Path) -> Drops:
    """De-duplicate the documents below `folders` together; drops.parquet names the copy that stays for each dropped one."""
    table = pa.concat_tables(frames.read(frames.parts(folder, name)) for folder in folders for name in source_names(folder))
    table = table.sort_by([("id", "ascending"), ("source", "ascending")])
    copies = find_copies(table["text"].to_pylist(), rules)
    itself = np.arange(len(table))
    reasons = np.where(copies.exact != itself, "exact", np.where(copies.near != itself, "near", ""))
    _write_evidence(table, reasons, copies.near, into)
    flows = {}
    for name in sorted(set(table["source"].to_pylist())):
        rows = np.flatnonzero(np.asarray(table["source"]) == name)
        kept, flows[name] = split(table.take(rows), [reason or None for reason in reasons[rows].tolist()])
        frames.write(into, name, kept)
    return write_drops(into, flows)


def _write_evidence(table: pa.Table, reasons: npt.NDArray[np.str_], stays: Rows, into: Path) -> None:
    dropped = np.flatnonzero(reasons != "")
    columns = [table["id"].take(dropped), table["source"].take(dropped), pa.array(reasons[dropped].tolist(), pa.string())]
    columns += [table["id"].take(stays[dropped]), table["source"].take(stays[dropped])]
    frames.write_part(
        into / "drops.parquet",
        pa.table([c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns], schema=DROPS),
    )


def find_copies(texts: list[str], rules: Dedup) -> Copies:
    """Which row stays for each row. A chain of near copies is one group, so the first row of it stays for all."""
    first: dict[str, int] = {}
    exact = np.array([first.setdefault(text, row) for row, text in enumerate(texts)], np.int64)
    rows = np.array(sorted(first.values()), np.int64)
    lines = [" ".join(words(texts[row])) for row in rows]
    # A text without words has the same signature as every other such text.
    spoken = np.array([bool(line) for line in lines], bool)
    rows, lines = rows[spoken], [line for line in lines if line]
    signatures = frames.signatures(pa.array(lines, pa.string()), rules.bands * rules.rows, rules.shingle, rules.seed)
    near = np.arange(len(texts))
    near[rows] = rows[_first_of_group(signatures, rules)]
    return Copies(exact=exact, near=near[exact])


def _first_of_group(signatures: npt.NDArray[np.uint32], rules: Dedup) -> Rows:
    """For each signature the first one that it is connected to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(signatures)
    left, right = [], []
    for band in range(rules.bands):
        keys = np.ascontiguousarray(signatures[:, band * rules.rows : (band + 1) * rules.rows]).view(f"V{4 * rules.rows}").ravel()
        order = np.argsort(keys, kind="stable")
        same = keys[order[1:]] == keys[order[:-1]]
        left.append(order[:-1][same])
        right.append(order[1:][same])
    pairs = (np.concatenate(left), np.concatenate(right)) if count else (np.array([], int), np.array([], int))
    graph = coo_array((np.ones(len(pairs[0]), bool), pairs), shape=(count, count))
    groups, labels = connected_components(graph, directed=False)
    first = np.full(groups, count, np.int64)
    np.minimum.at(first, labels, np.arange(count))
    return first[labels]

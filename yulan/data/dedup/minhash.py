"""Near copies: MinHash signatures that agree in a whole band connect two texts, chains of them make a group.

With b bands of r hashes two texts of Jaccard similarity s (of their shingles) meet with probability 1 - (1 - s^r)^b
(Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from yulan.data import frames
from yulan.data.words import words
from yulan.recipe.corpus import Dedup

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """For each row the one that stays for it: itself, or one before it."""

    exact: Rows
    near: Rows
    similarity: npt.NDArray[np.float64]
    """Of each row to the one in `near`: 1 where the text is the same, else the share of hashes that agree, which estimates the
    Jaccard similarity of their shingles. In a chain it may be small."""


def find_copies(texts: Sequence[str], rules: Dedup) -> Copies:
    """Which row stays for each row. A chain of near copies is one group, so the first row of it stays for all."""
    first: dict[str, int] = {}
    exact = np.array([first.setdefault(text, row) for row, text in enumerate(texts)], np.int64)
    rows = np.array(sorted(first.values()), np.int64)
    lines = [" ".join(words(texts[row])) for row in rows]
    # A text without words has the same signature as every other such text.
    spoken = np.array([bool(line) for line in lines], bool)
    rows, lines = rows[spoken], [line for line in lines if line]
    signatures = frames.signatures(pa.array(lines, pa.string()), rules.bands * rules.rows, rules.shingle, rules.seed)
    stays = _first_of_group(signatures, rules)
    near, similarity = np.arange(len(texts)), np.ones(len(texts))
    near[rows] = rows[stays]
    moved = np.flatnonzero(stays != np.arange(len(stays)))
    similarity[rows[moved]] = (signatures[moved] == signatures[stays[moved]]).mean(axis=1)
    return Copies(exact=exact, near=near[exact], similarity=similarity[exact])


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

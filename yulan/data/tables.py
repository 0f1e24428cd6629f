"""Which row groups of a Parquet table hold some keys. Its footer is asked for no figure: pyarrow 25 ends the process on some
damaged or crafted ones, and a clone may hold what others made.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from functools import cache

import pyarrow.parquet as pq


def holding(file: pq.ParquetFile, key: str, wanted: Collection[str], *, ordered: bool) -> Iterator[int]:
    """Row groups with a row whose `key` is one of `wanted`.

    `ordered`: rows are sorted by `key`, and of n row groups only those are read, log n first rows apart, that may hold one.
    """
    groups = range(file.num_row_groups)

    @cache
    def first(group: int) -> str:
        rows = next(file.iter_batches(1, row_groups=[group], columns=[key]), None)
        return str(rows[key][0].as_py()) if rows is not None and len(rows) else ""

    chosen = set(() if ordered else groups)
    for each in wanted if ordered else ():
        # The group before the first that begins with a key may end with it.
        chosen |= set(range(max(bisect_left(groups, each, key=first) - 1, 0), bisect_right(groups, each, key=first)))
    known = set(wanted)
    for group in sorted(chosen):
        if known & set(file.read_row_group(group, columns=[key])[key].to_pylist()):
            yield group

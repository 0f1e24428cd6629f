"""What was removed on request is left out where text first comes in. Whatever comes after never sees it."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from yulan import digest
from yulan.data.readers.reject import Reject

ON_REQUEST = "removed-on-request"
"""The reason that drops.json counts; its samples have ids, no text."""


def leave_out(found: Iterable[str | Reject], removed: frozenset[str]) -> Iterator[str | Reject]:
    """Documents of a reader; one that was removed becomes a Reject that knows its id."""
    if not removed:
        yield from found
        return
    for each in found:
        if isinstance(each, str) and (identity := digest.of_text(each)) in removed:
            yield Reject(where=identity, reason=ON_REQUEST)
        else:
            yield each


def remaining(rows: pa.Table, removed: frozenset[str]) -> pa.Table:
    """Rows of a table without those of a removed document, or, in synthetic text, made from one."""
    gone = pa.array(sorted(removed), pa.string())
    for name in {"id", "seed_document"} & set(rows.column_names):
        rows = rows.filter(pc.invert(pc.is_in(rows[name], gone)))
    return rows

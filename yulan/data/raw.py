"""Texts of each source as documents: from here on each has its id."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from yulan import digest
from yulan.data import frames
from yulan.data.drops import Drops, flow, write_drops
from yulan.data.readers import Reject, documents
from yulan.data.removal import ON_REQUEST, leave_out
from yulan.data.sources import located
from yulan.errors import DataError
from yulan.recipe.sources import Source


def write_raw(sources: Mapping[str, Source], folder: Path, into: Path, removed: frozenset[str] = frozenset()) -> Drops:
    """Read every source that has a package, from what `gather` filled, but for the documents of `removed`.

    Raises: DataError: a source has no files or not one document.
    """
    flows = {}
    for name, source in sorted(sources.items()):
        if source.package is None:
            continue
        paths = located(folder, source)
        texts: list[str] = []
        dropped: dict[str, list[tuple[str, str]]] = {}
        for found in leave_out(documents(source, name, paths), removed):
            if isinstance(found, Reject):
                dropped.setdefault(found.reason, []).append((found.where, ""))
            else:
                texts.append(found)
        if not texts:
            asked = ON_REQUEST in dropped
            cure = "Take it out of the mixes: all was removed on request" if asked else "Correct its paths or its reader"
            raise DataError("no document in it", where=f"sources.yaml: $.sources.{name}", cure=cure)
        ids = [digest.of_text(text) for text in texts]
        table = pa.table({"id": ids, "text": texts, "source": [name] * len(ids)}, schema=frames.DOCUMENTS)
        frames.write(into, name, table)
        flows[name] = flow(texts, dropped)
    return write_drops(into, flows)

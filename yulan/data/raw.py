"""Texts of each source as documents: from here on each has its id."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from yulan import digest
from yulan.data import frames
from yulan.data.drops import Drops, flow, write_drops
from yulan.data.readers import Reject, documents
from yulan.data.sources import located
from yulan.errors import DataError
from yulan.recipe.sources import Source


def write_raw(sources: Mapping[str, Source], folder: Path, into: Path) -> Drops:
    """Read every source that has a package, from what `gather` filled.

    Raises: DataError: a source has no files or not one document.
    """
    flows = {}
    for name, source in sorted(sources.items()):
        if not source.packaged:
            continue
        paths = located(folder, source)
        texts: list[str] = []
        dropped: dict[str, list[tuple[str, str]]] = {}
        for found in documents(source, name, paths):
            if isinstance(found, Reject):
                dropped.setdefault(found.reason, []).append((found.where, ""))
            else:
                texts.append(found)
        if not texts:
            raise DataError("no document in it", where=f"sources.yaml: $.sources.{name}", cure="Correct its paths or its reader")
        ids = [digest.of_text(text) for text in texts]
        table = pa.table({"id": ids, "text": texts, "source": [name] * len(ids)}, schema=frames.DOCUMENTS)
        frames.write(into, name, table)
        flows[name] = flow(texts, dropped)
    return write_drops(into, flows)

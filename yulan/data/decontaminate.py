"""Drop documents that hold an evaluation item, or a stretch of one, and say where.

What counts as a match: yulan/data/leaks.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from yulan.data import frames
from yulan.data.benchmarks import Item
from yulan.data.contamination import Ledger
from yulan.data.documents import source_names
from yulan.data.drops import Drops, join, split, write_drops
from yulan.data.leaks import Index
from yulan.errors import DataError
from yulan.recipe.corpus import Decontaminate

SHARED = [
    ("benchmark", pa.string()),
    ("item", pa.string()),
    ("kind", pa.string()),
    ("field", pa.string()),
    ("start", pa.uint32()),
    ("end", pa.uint32()),
    ("span", pa.string()),
]
MATCHES = pa.schema([("id", pa.string()), ("source", pa.string()), *SHARED])
RETURNS = pa.schema([("matches", pa.list_(pa.struct(SHARED)))])


def decontaminate(benchmarks: Mapping[str, Sequence[Item]], rules: Decontaminate, folder: Path, into: Path) -> Drops:
    """Write the documents below `folder` that share nothing with an item.

    matches.parquet holds what the others share, and where it stands in them; contamination.json counts it by benchmark.

    Raises: DataError: nothing of a source is left.
    """
    index = Index(benchmarks, rules)
    ledger = Ledger({name: len(items) for name, items in benchmarks.items()}, index.searched, rules)
    flows, evidence = {}, []
    for name in source_names(folder):
        found = []
        for path in frames.parts(folder, name):
            table = frames.each([path], index.judge, RETURNS)
            matches = table["matches"].to_pylist()
            for identity, text, row in zip(table["id"].to_pylist(), table["text"].to_pylist(), matches, strict=True):
                evidence += [{"id": identity, "source": name} | match for match in row]
                ledger.add(name, len(text.encode()) if row else 0, row)
            kept, flow = split(table.drop_columns("matches"), [row[0]["benchmark"] if row else None for row in matches])
            frames.write_part(into / name / path.name, kept)
            found.append(flow)
        flows[name] = join(found)
        if not flows[name].kept:
            raise DataError(
                f"no document of {name} is left", where=folder / name, cure="Raise $.data.decontaminate.ngram, or drop the source"
            )
    frames.write_part(into / "matches.parquet", pa.Table.from_pylist(evidence, MATCHES))
    ledger.write(into)
    return write_drops(into, flows)

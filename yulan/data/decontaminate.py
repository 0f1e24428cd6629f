"""Drop documents that hold an evaluation item, or a stretch of one, and say where.

What counts as a match: yulan/data/leaks.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from yulan import digest
from yulan.data import frames
from yulan.data.benchmarks import Item
from yulan.data.contamination import Ledger
from yulan.data.drops import Drops, Flow, join, split, write_drops
from yulan.data.leaks import Index
from yulan.data.partitions import PART, Partition, Partitions, passing
from yulan.errors import DataError
from yulan.recipe.corpus import Decontaminate
from yulan.schema import plain, structure

FOUND = "matches.parquet"
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


def decontaminate(
    benchmarks: Mapping[str, Sequence[Item]],
    rules: Decontaminate,
    folder: Path,
    into: Path,
    partitions: Partitions | None = None,
) -> Drops:
    """Write the documents below `folder` that share nothing with an item.

    matches.parquet holds what the others share, and where it stands in them; contamination.json counts it by benchmark.
    `partitions` keeps what a killed stage has finished; without it nothing is kept.

    Raises: DataError: nothing of a source is left.
    """
    if partitions is None:
        with passing(into) as passed:
            return decontaminate(benchmarks, rules, folder, into, passed)
    index = Index(benchmarks, rules)
    ledger = Ledger({name: len(items) for name, items in benchmarks.items()}, index.searched, rules)
    asked = digest.of_json([[name, [plain(item) for item in items]] for name, items in sorted(benchmarks.items())])
    parts = frames.every_part(folder)
    wanted = [
        Partition(
            name=f"{name}/{path.stem}",
            inputs={"part": digest.of_file(path), "items": asked},
            work=partial(_search_part, path, name, index),
        )
        for name, path in parts
    ]
    flows: dict[str, list[Flow]] = {}

    def evidence() -> Iterator[pa.Table]:
        """What each part shares, once all else about it is written down."""
        for (name, path), made in zip(parts, partitions.make(wanted), strict=True):
            flows.setdefault(name, []).append(structure(made.summary["flow"], Flow))
            found = frames.table(made.data / FOUND)
            for identity, rows in groupby(found.to_pylist(), itemgetter("id")):
                ledger.add(name, made.summary["bytes"][identity], list(rows))
            frames.link(made.data / PART, into / name / path.name)
            yield found

    frames.write_stream(into / FOUND, evidence(), MATCHES)
    joined = {name: join(found) for name, found in flows.items()}
    for name, flow in joined.items():
        if not flow.kept:
            raise DataError(
                f"no document of {name} is left", where=folder / name, cure="Raise $.data.decontaminate.ngram, or drop the source"
            )
    ledger.write(into)
    return write_drops(into, joined)


def _search_part(path: Path, name: str, index: Index, into: Path) -> dict[str, Any]:
    """Search one part; `bytes` of its summary are those of each document that is dropped."""
    table = frames.each([path], index.judge, RETURNS)
    matches = table["matches"].to_pylist()
    evidence, sizes = [], {}
    for identity, text, row in zip(table["id"].to_pylist(), table["text"].to_pylist(), matches, strict=True):
        evidence += [{"id": identity, "source": name} | match for match in row]
        if row:
            sizes[identity] = len(text.encode())
    kept, flow = split(table.drop_columns("matches"), [row[0]["benchmark"] if row else None for row in matches])
    frames.write_part(into / PART, kept)
    frames.write_part(into / FOUND, pa.Table.from_pylist(evidence, MATCHES))
    return {"flow": plain(flow), "bytes": sizes}

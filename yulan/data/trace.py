"""From a window back to the documents in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from yulan.data.pack import Ints, Pack
from yulan.data.shard import DOCUMENTS
from yulan.data.spans import Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """What a window holds of one document."""

    source: str
    document: str
    """Its id."""
    start: int
    """First id, counted from the document's own first."""
    length: int
    """Ids in the window."""


def documents_at(pack: Pack, shards: Path, row: int) -> list[Excerpt]:
    """The documents of window `row`, in its order; their lengths sum to the window's ids."""
    found = []
    for shard, start, length in pack.pieces[int(pack.offsets[row]) : int(pack.offsets[row + 1])].tolist():
        stream = pack.header.shards[shard].rpartition("/")[0]
        table = pq.read_table(shards / stream / DOCUMENTS)
        starts = table["start"].to_numpy().astype(np.int64)
        place = int(pack.bases[shard]) + start
        end = place + length
        index = int(np.searchsorted(starts, place, "right")) - 1
        while place < end:
            stop = min(end, int(starts[index]) + table["length"][index].as_py())
            source = stream.rpartition("/")[0]
            inside = place - int(starts[index])
            found.append(Excerpt(source=source, document=table["id"][index].as_py(), start=inside, length=stop - place))
            place, index = stop, index + 1
    return found


def count_cut(spans: Mapping[str, Span], starts: Mapping[str, Ints], tokens: Mapping[str, int], context: int) -> int:
    """Documents that a window's or a span's edge divides.

    `starts`: where each source's documents begin in its train stream; `tokens`: how long that stream is.
    """
    cut, before = 0, 0
    for name, span in sorted(spans.items()):
        if not span.quota:
            continue
        edges = np.arange(-(-before // context) * context, before + span.quota, context)
        places = (span.start + np.concatenate([[0], edges - before, [span.quota]])) % tokens[name]
        document = np.searchsorted(starts[name], places, "right") - 1
        cut += len(np.unique(document[starts[name][document] != places]))
        before += span.quota
    return cut

"""Where the ids of windows lie, worked out for many windows at once, and the ids read from there."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from yulan.data.pack import Ints, Pack


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Places:
    """Of R windows. Lists, as they are gone through piece by piece; "flattened" counts R x T inputs."""

    rows: Ints
    """(R,) of the pack."""
    edges: list[int]
    """(R + 1,) window k has the pieces edges[k] ... edges[k + 1] - 1."""
    shard: list[int]
    start: list[int]
    length: list[int]
    """Ids of a piece that are inputs."""
    target: list[int]
    """Where they go, flattened."""
    last: list[tuple[int, int]]
    """(shard, place) of each window's last id, which is only a target."""
    breaks: list[int]
    """Where a piece follows one that it does not go on, flattened, rising."""
    short: tuple[tuple[int, int], ...]
    """(window, real ids) of those that lack some of T + 1."""

    @classmethod
    def of(cls, pack: Pack, rows: Ints) -> "Places":
        context = pack.context
        first = pack.offsets[rows].astype(np.int64)
        count = pack.offsets[rows + 1].astype(np.int64) - first
        edges = np.append(0, np.cumsum(count))
        of = np.repeat(np.arange(len(rows)), count)
        pieces = pack.pieces[np.repeat(first - edges[:-1], count) + np.arange(len(of))]
        shard, start, length = (pieces[name].astype(np.int64) for name in ("shard", "start", "length"))
        ends = np.append(0, np.cumsum(length))
        real = np.diff(ends[edges])
        column = ends[:-1] - ends[edges[:-1]][of]
        # A piece that goes on where the one before it ended, in the next file of the stream, begins nothing.
        place, stream = pack.bases[shard] + start, pack.streams[shard]
        goes_on = (stream[1:] == stream[:-1]) & (place[1:] == place[:-1] + length[:-1])
        breaks = np.flatnonzero((column[1:] > 0) & ~goes_on) + 1
        final = edges[1:] - 1
        short = np.flatnonzero(real <= context)
        return cls(
            rows=rows,
            edges=edges.tolist(),
            shard=shard.tolist(),
            start=start.tolist(),
            length=np.minimum(length, context - column).tolist(),
            target=(of * context + column).tolist(),
            last=list(zip(shard[final].tolist(), (start + length - 1)[final].tolist(), strict=True)),
            breaks=(of * context + column)[breaks].tolist(),
            short=tuple(zip(short.tolist(), real[short].tolist(), strict=True)),
        )

    def read(self, pack: Pack, low: int, high: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Of windows low ... high - 1: inputs (n T,), and the id after each window's (n,); eos where there is none.

        Raises: IntegrityError: an id lies outside the vocabulary.
        """
        base, context, views = low * pack.context, pack.context, _views(pack)
        found = np.empty((high - low) * context, pack.header.dtype)
        room, own = _view(found), slice(self.edges[low], self.edges[high])
        for shard, start, length, target in zip(
            self.shard[own], self.start[own], self.length[own], self.target[own], strict=True
        ):
            room[target - base : target - base + length] = views[shard][start : start + length]
        last = np.array([views[shard][place] for shard, place in self.last[low:high]], np.int32)
        for window, real in self.short_in(low, high):
            found[window * context + real : (window + 1) * context] = last[window] = pack.header.eos_id
        pack.require_known(int(max(found.max(), last.max())))
        # An id fits into 31 bits, so uint32 needs no copy.
        return found.view(np.int32) if found.itemsize == 4 else found.astype(np.int32), last

    def breaks_in(self, low: int, high: int, context: int) -> list[int]:
        """`breaks` of windows low ... high - 1, as places in these."""
        first, last = bisect_right(self.breaks, low * context), bisect_right(self.breaks, high * context)
        return [each - low * context for each in self.breaks[first:last]]

    def short_in(self, low: int, high: int) -> list[tuple[int, int]]:
        """`short` of windows low ... high - 1, counted from low."""
        return [(window - low, real) for window, real in self.short if low <= window < high]


@lru_cache(maxsize=4)
def _views(pack: Pack) -> tuple[memoryview, ...]:
    """Of the shards: a slice of one costs half of numpy's."""
    return tuple(_view(each) for each in pack.tokens)


def _view(ids: npt.NDArray[Any]) -> memoryview:
    return ids.data.cast("B").cast("H" if ids.itemsize == 2 else "I")

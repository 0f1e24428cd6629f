"""Micro-batches of a phase, addressed by windows consumed: a pure function of pack, order, batch and grid."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from yulan import digest
from yulan.data.order import Order, OrderExhausted
from yulan.data.pack import Ints, Pack

NO_LOSS = -100
"""Target without loss: cross_entropy's ignore_index."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Micro:
    """One micro-batch: B windows of T inputs. What torch takes as int32 is int32: half the bytes on every way."""

    rows: Ints
    """(B,) of the pack."""
    tokens: npt.NDArray[np.int32]
    """(B, T + 1); inputs are all but the last column."""
    targets: Ints
    """(B, T); -100 after the last id of a document, a span or the data."""
    cu_seqlens: npt.NDArray[np.int32]
    """Where documents begin in the flattened B x T inputs, and B x T at the end."""
    positions: npt.NDArray[np.int32]
    """(B, T); 0 where a document begins."""

    @property
    def digest(self) -> str:
        """sha256 of rows (uint64) and tokens (uint32), little-endian."""
        return digest.of_parts([self.rows.astype("<u8").tobytes(), self.tokens.astype("<u4").tobytes()])


@dataclass(frozen=True, kw_only=True, slots=True)
class Batches:
    """A phase's batches. Which process asks makes no difference."""

    pack: Pack
    order: Order
    batch: int
    """Windows in a step."""
    grid: int
    """Micro-batches in a step."""

    def micro(self, consumed: int, index: int) -> Micro:
        """Micro-batch `index` of the step after `consumed` windows; those before are never replayed.

        Raises: OrderExhausted: the step would run past the last window.
        """
        return self.micros(consumed, range(index, index + 1))[0]

    def micros(self, consumed: int, indices: range) -> list[Micro]:
        """Neighbouring micro-batches of that step, read at once: what a call costs is paid once for all of them.

        Raises: OrderExhausted: the step would run past the last window.
        """
        if not (0 <= consumed <= self.pack.windows - self.batch and 0 <= indices.start < indices.stop <= self.grid):
            raise OrderExhausted(
                f"micro-batch {indices.start} of {self.grid} after {consumed} of {self.pack.windows} windows does not exist",
                cure="Stop at the last full step, or go on with the next phase",
            )
        size = self.batch // self.grid
        return _assembled(self.pack, self.order.span(consumed + indices.start * size, len(indices) * size), len(indices))


def assemble(pack: Pack, rows: Ints) -> Micro:
    """Windows as the model takes them: targets, document bounds and positions."""
    return _assembled(pack, rows, 1)[0]


def _assembled(pack: Pack, rows: Ints, micros: int) -> list[Micro]:
    """The same in so many micro-batches of one size."""
    found, context, size = pack.rows(rows), pack.context, len(rows) // micros
    # An id fits into 31 bits, so uint32 needs no copy.
    tokens = found.tokens.view(np.int32) if found.tokens.itemsize == 4 else found.tokens.astype(np.int32)
    targets = tokens[:, 1:].astype(np.int64)
    row, column = np.divmod(found.begins, context + 1)
    # Begins, counted in the flattened inputs (R x T) and, one place to the left, in the targets.
    place = found.begins - row
    targets.reshape(-1)[place[column > 0] - 1] = NO_LOSS
    short = np.flatnonzero(found.lengths <= context)
    if len(short):
        targets[short] = np.where(np.arange(context) >= found.lengths[short, None] - 1, NO_LOSS, targets[short])
    bounds = np.append(place[column < context], targets.size).astype(np.int32)
    turns = np.repeat(bounds[:-1], np.diff(bounds))
    positions = np.subtract(_line(targets.size), turns, out=turns).reshape(targets.shape)
    # A micro-batch begins with a document, so its end is the begin of the next one.
    edges = np.arange(micros + 1) * (size * context)
    cuts = np.searchsorted(bounds, edges).tolist()
    return [
        Micro(
            rows=rows[n * size : (n + 1) * size],
            tokens=tokens[n * size : (n + 1) * size],
            targets=targets[n * size : (n + 1) * size],
            cu_seqlens=bounds[cuts[n] : cuts[n + 1] + 1] - np.int32(n * size * context),
            positions=positions[n * size : (n + 1) * size],
        )
        for n in range(micros)
    ]


@lru_cache(maxsize=2)
def _line(length: int) -> npt.NDArray[np.int32]:
    """0, 1, 2, ...: read only."""
    return np.arange(length, dtype=np.int32)

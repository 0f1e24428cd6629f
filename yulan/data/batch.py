"""Micro-batches of a phase, addressed by windows consumed: a pure function of pack, order, batch and grid."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yulan import digest
from yulan.data.order import Order, OrderExhausted
from yulan.data.pack import Ints, Pack

NO_LOSS = -100
"""Target without loss: cross_entropy's ignore_index."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Micro:
    """One micro-batch: B windows of T inputs."""

    rows: Ints
    """(B,) of the pack."""
    tokens: Ints
    """(B, T + 1); inputs are all but the last column."""
    targets: Ints
    """(B, T); -100 after the last id of a document, a span or the data."""
    cu_seqlens: npt.NDArray[np.int32]
    """Where documents begin in the flattened B x T inputs, and B x T at the end."""
    positions: Ints
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
        if not (0 <= consumed <= self.pack.windows - self.batch and 0 <= index < self.grid):
            raise OrderExhausted(
                f"micro-batch {index} of {self.grid} after {consumed} of {self.pack.windows} windows does not exist",
                cure="Stop at the last full step, or go on with the next phase",
            )
        size = self.batch // self.grid
        rows = self.order.rows(consumed + index * size + np.arange(size))
        return assemble(self.pack, rows)


def assemble(pack: Pack, rows: Ints) -> Micro:
    """Windows as the model takes them: targets, document bounds and positions."""
    found = pack.rows(rows)
    tokens = found.tokens.astype(np.int64)
    targets = np.where(found.starts[:, 1:], NO_LOSS, tokens[:, 1:])
    for row in np.flatnonzero(found.lengths <= pack.context):
        targets[row, found.lengths[row] - 1 :] = NO_LOSS
    starts = np.flatnonzero(found.starts[:, :-1])
    bounds = np.append(starts, targets.size)
    positions = np.arange(targets.size) - np.repeat(starts, np.diff(bounds))
    return Micro(
        rows=rows,
        tokens=tokens,
        targets=targets,
        cu_seqlens=bounds.astype(np.int32),
        positions=positions.reshape(targets.shape),
    )

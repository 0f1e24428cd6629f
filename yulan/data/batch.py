"""Micro-batches of a phase, addressed by windows consumed: a pure function of pack, order, batch and grid."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from yulan import digest
from yulan.data.order import BLOCK, Order, OrderExhausted
from yulan.data.pack import Ints, Pack
from yulan.data.places import Places

NO_LOSS = -100
"""Target without loss: cross_entropy's ignore_index."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Micro:
    """One micro-batch: B windows of T inputs. All that the model takes is int32, half the bytes on every way."""

    rows: Ints
    """(B,) of the pack."""
    inputs: npt.NDArray[np.int32]
    """(B, T)."""
    last: npt.NDArray[np.int32]
    """(B,) the id after each window's inputs."""
    targets: npt.NDArray[np.int32]
    """(B, T); -100 after the last id of a document, a span or the data."""
    cu_seqlens: npt.NDArray[np.int32]
    """Where documents begin in the flattened B x T inputs, and B x T at the end."""
    positions: npt.NDArray[np.int32]
    """(B, T); 0 where a document begins."""

    @property
    def tokens(self) -> npt.NDArray[np.int32]:
        """(B, T + 1); a copy."""
        return np.concatenate([self.inputs, self.last[:, None]], axis=1)

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
        count = len(indices) * (self.batch // self.grid)
        begin = consumed + indices.start * (self.batch // self.grid)
        number, low = divmod(begin, BLOCK)
        if low + count <= BLOCK:
            places = _block(self.pack, self.order, number)
        else:
            places, low = Places.of(self.pack, self.order.span(begin, count)), 0
        return _assembled(self.pack, places, low, low + count, len(indices))


def assemble(pack: Pack, rows: Ints) -> Micro:
    """Windows as the model takes them: targets, document bounds and positions."""
    return _assembled(pack, Places.of(pack, rows), 0, len(rows), 1)[0]


def _assembled(pack: Pack, places: Places, low: int, high: int, micros: int) -> list[Micro]:
    """Windows low ... high - 1 in so many micro-batches of one size."""
    context, total, size = pack.context, (high - low) * pack.context, (high - low) // micros
    ids, last = places.read(pack, low, high)
    marks = np.zeros(total + 1, np.bool_)
    np.equal(ids, pack.header.eos_id, out=marks[1:])
    if breaks := places.breaks_in(low, high, context):
        marks[breaks] = True
    final = last.copy()
    final[marks[context::context]] = NO_LOSS
    marks[::context] = True
    short = [(window * context, real) for window, real in places.short_in(low, high)]
    for at, real in short:
        # Padding is one document.
        marks[at + real : at + context] = False
        marks[at + real] = True
    bounds = np.flatnonzero(marks)
    targets = np.empty(total, np.int32)
    # Not by assignment: that is memmove, which AMD's `rep movsb` makes ten times slower where both lie alike in their pages
    # (glibc bug 30994), as arrays of whole pages do.
    np.add(ids[1:], 0, out=targets[:-1])
    targets[bounds[1:] - 1] = NO_LOSS
    targets[context - 1 :: context] = final
    for at, real in short:
        targets[at + real - 1 : at + context] = NO_LOSS
    # A micro-batch begins with a document, so its end is the begin of the next one.
    cuts = np.searchsorted(bounds, np.arange(0, total + 1, size * context)).tolist()
    begins = bounds.astype(np.int32)
    turns = np.repeat(begins[:-1], bounds[1:] - bounds[:-1])
    positions = np.subtract(_line(total), turns, out=turns)
    inputs, wanted, turned = (each.reshape(-1, context) for each in (ids, targets, positions))
    rows, found = places.rows[low:high], []
    for number in range(micros):
        own = slice(number * size, (number + 1) * size)
        found.append(
            Micro(
                rows=rows[own],
                inputs=inputs[own],
                last=last[own],
                targets=wanted[own],
                cu_seqlens=begins[cuts[number] : cuts[number + 1] + 1] - number * size * context,
                positions=turned[own],
            )
        )
    return found


@lru_cache(maxsize=4)
def _block(pack: Pack, order: Order, number: int) -> Places:
    """Of the windows that are trained on one after the other from `number` x BLOCK on: found once for many steps."""
    begin = number * BLOCK
    return Places.of(pack, order.span(begin, min(BLOCK, order.windows - begin)))


@lru_cache(maxsize=2)
def _line(length: int) -> npt.NDArray[np.int32]:
    """0, 1, 2, ...: read only."""
    return np.arange(length, dtype=np.int32)

"""Best-fit decreasing: pieces into bins of one size, the longest first, each into the fullest bin that still has room for it.

Ding et al. 2024, "Fewer Truncations Improve Language Modeling" (arXiv 2404.10830), with pieces of one length placed at once: work
grows with the number of lengths and of fill levels, not with the number of pieces, apart from sorting them.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """`bins` bins with `room` left take `each` pieces of one length; what is left of a number goes into one more bin."""

    room: int
    length: int
    bins: int
    each: int


def plan(counts: Ints, capacity: int) -> tuple[list[Move], int]:
    """Moves that place `counts[n]` pieces of n ids, and how many bins they open; bins are opened where none has room.

    `counts`: (capacity + 1,).
    """
    moves: list[Move] = []
    there: dict[int, int] = {}
    rooms: list[int] = []
    opened = 0

    def fill(room: int, length: int, bins: int, each: int) -> None:
        moves.append(Move(room=room, length=length, bins=bins, each=each))
        there[room] -= bins
        if not there[room]:
            del there[room], rooms[bisect_left(rooms, room)]
        rest = room - each * length
        if rest and rest not in there:
            there[rest] = 0
            insort(rooms, rest)
        if rest:
            there[rest] += bins

    for length in np.flatnonzero(counts)[::-1].tolist():
        left = int(counts[length])
        while left:
            at = bisect_left(rooms, length)
            if at == len(rooms):
                there[capacity] = -(-left // (capacity // length))
                rooms.append(capacity)
                opened += there[capacity]
            room = rooms[at]
            # A bin that took one and has room for another is now the fullest with room: it goes on taking.
            each = room // length
            bins = min(there[room], left // each)
            if not bins:
                bins, each = 1, left
            fill(room, length, bins, each)
            left -= bins * each
    return moves, opened


def best_fit(lengths: Ints, capacity: int) -> tuple[Ints, int]:
    """The bin of each piece, and how many bins there are. Equal lengths are placed in the order given.

    `lengths`: in [1, capacity].
    """
    order = np.argsort(-lengths, kind="stable")
    moves, opened = plan(np.bincount(lengths, minlength=capacity + 1), capacity)
    # Bins of one fill level wait in line: what came first is filled first.
    waiting: dict[int, list[Ints]] = {}
    chosen = np.empty(len(lengths), np.int64)
    placed = fresh = 0
    for move in moves:
        line = waiting.setdefault(move.room, [])
        missing = move.bins
        parts: list[Ints] = []
        while missing and line:
            head = line[0][:missing]
            parts.append(head)
            missing -= len(head)
            if len(head) == len(line[0]):
                line.pop(0)
            else:
                line[0] = line[0][len(head) :]
        if missing:
            parts.append(np.arange(fresh, fresh + missing))
            fresh += missing
        bins = np.concatenate(parts)
        count = move.bins * move.each
        chosen[order[placed : placed + count]] = np.repeat(bins, move.each)
        placed += count
        waiting.setdefault(move.room - move.each * move.length, []).append(bins)
    return chosen, opened

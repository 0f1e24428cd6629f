"""The order of windows: a permutation without state. Any place in it costs the same to compute."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from yulan import digest
from yulan.errors import DataError

ROUNDS = 4
BLOCK = 1 << 12
"""Places that are computed together for `span`: one costs a hundred calls of numpy, 4,096 hardly more."""


class OrderExhausted(DataError):
    """A window or step past the end of the phase was asked for."""


def order_key(pack: str, seed: int) -> str:
    """Key of a phase's order: digest of the mix manifest's content digest and the recipe's seed."""
    return digest.of_json({"pack": pack, "seed": seed})


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A Feistel network of four rounds over the next power of 4, walked until it lands below `windows`."""

    windows: int
    key: str
    _keys: npt.NDArray[np.uint64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        words = np.frombuffer(bytes.fromhex(digest.of_bytes(self.key.encode())), "<u8")
        object.__setattr__(self, "_keys", words)

    def __getitem__(self, index: int) -> int:
        """Row of the pack that is the `index`-th to be trained on."""
        return int(self.rows(np.array([index]))[0])

    def span(self, begin: int, count: int) -> npt.NDArray[np.int64]:
        """Rows at the places begin ... begin + count - 1; neighbours are found at once.

        Raises: OrderExhausted: a place outside [0, windows).
        """
        if not 0 <= begin < begin + count <= self.windows:
            return self.rows(np.arange(begin, begin + count))
        low, high = begin // BLOCK, -(-(begin + count) // BLOCK)
        found = [_block(self, number) for number in range(low, high)]
        return (found[0] if len(found) == 1 else np.concatenate(found))[begin - low * BLOCK :][:count].copy()

    def rows(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Rows at several places; each takes about two walks.

        Raises: OrderExhausted: an index outside [0, windows).
        """
        if len(indices) and not (indices.min() >= 0 and indices.max() < self.windows):
            raise OrderExhausted(
                f"window {int(indices.max())} is asked for, the phase has {self.windows}",
                cure="Stop at the last full step, or go on with the next phase",
            )
        found = self._permute(indices.astype(np.uint64))
        while len(outside := np.flatnonzero(found >= self.windows)):
            found[outside] = self._permute(found[outside])
        return found.astype(np.int64)

    def indices(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """When each row is trained on: the inverse of `rows`.

        Raises: DataError: a row outside [0, windows).
        """
        if len(rows) and not (rows.min() >= 0 and rows.max() < self.windows):
            raise DataError(f"row {int(rows.max())} is not one of {self.windows}", cure="Build the mix again")
        found = self._permute(rows.astype(np.uint64), back=True)
        while len(outside := np.flatnonzero(found >= self.windows)):
            found[outside] = self._permute(found[outside], back=True)
        return found.astype(np.int64)

    def _permute(self, value: npt.NDArray[np.uint64], *, back: bool = False) -> npt.NDArray[np.uint64]:
        half = np.uint64(max(1, ((self.windows - 1).bit_length() + 1) // 2))
        mask = np.uint64((1 << int(half)) - 1)
        left, right = value >> half, value & mask
        if back:
            for key in self._keys[:ROUNDS][::-1]:
                left, right = right ^ (_mix(left ^ key) & mask), left
        else:
            for key in self._keys[:ROUNDS]:
                left, right = right, left ^ (_mix(right ^ key) & mask)
        return (left << half) | right


@lru_cache(maxsize=4)
def _block(order: Order, number: int) -> npt.NDArray[np.int64]:
    return order.rows(np.arange(number * BLOCK, min((number + 1) * BLOCK, order.windows)))


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014); products wrap at 64 bits."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))

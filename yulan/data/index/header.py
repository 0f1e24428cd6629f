"""The head of the published index: how many leaves, their root, and what turns a place in a phase into a step."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yulan.data.order import Order, order_key

HEADER, LEAVES, OFFSETS, TREE, FORMS = "index.json", "leaves.bin", "offsets.bin", "tree.bin", "forms.bin"
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A phase as the index counts it."""

    mix: str
    """Content digest of the mix's manifest; with the seed it is the order."""
    before: int
    """Steps of the path before the phase."""
    windows: int
    context: int
    batch: int
    """Windows in a step."""
    grid: int
    """Micro-batches in a step."""

    def order(self, seed: int) -> Order:
        return Order(windows=self.windows, key=order_key(self.mix, seed))

    def when(self, index: Ints) -> tuple[Ints, Ints]:
        """Global step, from 1, and micro-batch of windows by their place in the order."""
        return self.before + index // self.batch + 1, index % self.batch // (self.batch // self.grid)


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """index.json."""

    format: int
    documents: int
    """Leaves."""
    root: str
    """Of the tree over them."""
    seed: int
    phases: Mapping[str, Stretch]

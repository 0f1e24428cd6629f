"""A training state large enough that constant costs do not count, and its checkpoint."""

from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from yulan.layout import find_root
from yulan.model.shape import Parameter, count, parameters
from yulan.recipe import Recipe, load_recipe
from yulan.train.checkpoint.standing import standing
from yulan.train.checkpoint.state import State
from yulan.train.checkpoint.stream import KINDS

WIDE = {"vocab_size": 2000, "hidden_size": 512, "layers": 10, "heads": 8, "kv_heads": 8, "head_dim": 64, "ffn_size": 2048}


def wide_recipe() -> Recipe:
    """nano with a model of 43 M parameters: 516 MB of states."""
    nano = load_recipe(find_root(), "nano").recipe
    tokenizer = replace(nano.data.tokenizer, vocab_size=WIDE["vocab_size"])
    return replace(nano, model=replace(nano.model, **WIDE), data=replace(nano.data, tokenizer=tokenizer))


class States:
    """What one rank holds: its contiguous piece of each tensor, or (one rank) all of it."""

    def __init__(self, rank: int = 0, ranks: int = 1) -> None:
        self.recipe, self.rank, self.ranks = wide_recipe(), rank, ranks
        self.every: tuple[Parameter, ...] = parameters(self.recipe.model)
        self.state: State = standing(self.recipe, "phase-01", 4, 4, at_end=False)

    @property
    def size(self) -> int:
        """Bytes of all ranks' numbers."""
        return 12 * count(self.recipe.model)

    @cached_property
    def pieces(self) -> dict[tuple[str, str], tuple[int, Tensor]]:
        found = {}
        for p in self.every:
            low, high = (p.size * edge // self.ranks for edge in (self.rank, self.rank + 1))
            for kind in KINDS:
                found[p.name, kind] = low, torch.randn(high - low)
        return found

    def fragment(self, name: str, kind: str) -> tuple[int, Tensor]:
        return self.pieces[name, kind]

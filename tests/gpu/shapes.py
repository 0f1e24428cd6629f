"""Tensors of the real shape, and how far two of them are apart."""

import importlib.util
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from yulan.layout import find_root, recipe_file
from yulan.model.attention import PACKAGES
from yulan.recipe import read_recipe

MODEL = read_recipe(recipe_file(find_root(), "yulan-mini")).model
"""1,920 wide, 30 heads over 6, 4,800 in the FFN, 99,000 entries."""
SHALLOW = replace(MODEL, layers=4)
LENGTHS = (1, 700, 37, 1500, 128, 1730)
"""Of packed documents; 4,096 positions."""
THERE = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package) is not None]
FLASH = [
    pytest.param(name, marks=pytest.mark.skipif(name not in THERE, reason=f"{package} is not installed"))
    for name, package in PACKAGES.items()
]
"""Attention kernels of a GPU; a test asks for one of them to be installed."""


def apart(mine: Tensor, theirs: Tensor) -> float:
    """Largest difference, over the largest number of the reference."""
    return float((mine.double() - theirs.double()).abs().max() / theirs.double().abs().max())


def cosine(mine: Tensor, theirs: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(mine.double().flatten(), theirs.double().flatten(), dim=0))


def draw(*shape: int, seed: int, device: str = "cuda", scale: float = 1.0) -> Tensor:
    """fp32 normals that bf16 can hold, so that the reference sees the same numbers."""
    numbers = scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return numbers.bfloat16().float().to(device)


def leaf(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy that gradients are asked of."""
    return numbers.detach().clone().to(dtype).requires_grad_()


def pack(vocabulary: int, device: str = "cuda") -> tuple[Tensor, Tensor, Tensor]:
    """(tokens, positions, offsets on the CPU)."""
    tokens = torch.randint(3, vocabulary, (sum(LENGTHS),), generator=torch.Generator().manual_seed(0))
    positions = torch.cat([torch.arange(length) for length in LENGTHS])
    bounds = torch.tensor([0, *LENGTHS]).cumsum(0).int()
    return tokens.to(device), positions.to(device), bounds

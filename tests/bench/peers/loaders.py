"""Loaders that others use over the same token files: batches of `windows` windows, 64-bit ids and targets, no documents."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Read = Callable[[int], object]


def nano_gpt(files: list[Path], context: int, windows: int) -> Read:
    """nanoGPT's `get_batch` (train.py): random places of one memmap, a copy each for ids and targets, stacked."""
    draw = torch.Generator().manual_seed(1)
    # It opens the map anew for each batch, against a leak of memory; here it stays open, which is faster.
    data = np.memmap(files[0], dtype="<u4", mode="r")

    def read(_: int) -> tuple[Tensor, Tensor]:
        ix = torch.randint(len(data) - context, (windows,), generator=draw)
        x = torch.stack([torch.from_numpy((data[i : i + context]).astype(np.int64)) for i in ix])
        y = torch.stack([torch.from_numpy((data[i + 1 : i + 1 + context]).astype(np.int64)) for i in ix])
        return x, y

    return read


class _Windows(Dataset[Tensor]):
    def __init__(self, file: Path, context: int) -> None:
        self.data, self.context = np.memmap(file, dtype="<u4", mode="r"), context

    def __len__(self) -> int:
        return (len(self.data) - 1) // self.context

    def __getitem__(self, row: int) -> Tensor:
        return torch.from_numpy(self.data[row * self.context : (row + 1) * self.context + 1].astype(np.int64))


def torch_loader(files: list[Path], context: int, windows: int) -> Read:
    """torch's DataLoader, shuffled, in this process."""
    loader = DataLoader(
        _Windows(files[0], context), windows, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(1)
    )
    batches = iter(loader)

    def read(_: int) -> tuple[Tensor, Tensor]:
        nonlocal batches
        try:
            batch = next(batches)
        except StopIteration:
            batches = iter(loader)
            batch = next(batches)
        return batch[:, :-1].contiguous(), batch[:, 1:].contiguous()

    return read

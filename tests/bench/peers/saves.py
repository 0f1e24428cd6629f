"""A checkpoint as most trainers write it: one torch.save, made durable; and the two halves of a load that is verified."""

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor


def save(tensors: dict[str, Tensor], path: Path) -> None:
    """torch.save, fsync, rename, fsync of the folder: after it a power cut loses nothing."""
    partial = path.with_suffix(".tmp")
    with partial.open("wb") as file:
        torch.save(tensors, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    handle = os.open(path.parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(paths: list[Path], into: dict[str, Tensor]) -> None:
    """safetensors, mapped, and every number copied to where training holds it."""
    for path in paths:
        for name, numbers in load_file(path).items():
            into[f"{path.name}/{name}"].copy_(numbers)

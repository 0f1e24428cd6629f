"""Published weights: safetensors in shards of at most 5 GB, one tensor in memory at a time."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yulan import files
from yulan.errors import IntegrityError
from yulan.model.shape import Parameter, folded_parameters, parameters
from yulan.recipe.model import Model
from yulan.train.checkpoint.read import Checkpoint

SHARD = 5 * 10**9
"""Bytes of the largest file: a failed upload begins a file again."""
DTYPES = {"float32": ("F32", torch.float32, 4), "bfloat16": ("BF16", torch.bfloat16, 2)}
INDEX = "model.safetensors.index.json"


class Lazy(Mapping[str, Tensor]):
    """A checkpoint's fp32 master weights, read when asked for."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._names = [name for kind, name in checkpoint.files if kind == "weights"]

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        return self._checkpoint.tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def released(state: Mapping[str, Tensor], model: Model, architecture: str, dtype: str) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of the release: the fp32 master, folded for `llama`, cast to `dtype`."""
    from yulan.model.fold import fold

    kind = DTYPES[dtype][1]
    if architecture == "llama":
        yield from ((name, tensor.to(kind)) for name, tensor in fold(state, model))
    else:
        yield from ((parameter.name, state[parameter.name].to(kind)) for parameter in parameters(model))


def layout(model: Model, architecture: str) -> tuple[Parameter, ...]:
    """Names and shapes of a release, in the order of `released`."""
    return folded_parameters(model) if architecture == "llama" else parameters(model)


def write_weights(
    folder: Path, rows: Sequence[Parameter], tensors: Iterator[tuple[str, Tensor]], dtype: str, shard: int = SHARD
) -> None:
    """Write `model.safetensors`, or numbered shards and their index.

    Raises: IntegrityError: a weight is not finite.
    """
    width = DTYPES[dtype][2]
    groups: list[list[Parameter]] = [[]]
    for row in rows:
        if groups[-1] and width * (sum(p.size for p in groups[-1]) + row.size) > shard:
            groups.append([])
        groups[-1].append(row)
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, 1):
        name = "model.safetensors" if len(groups) == 1 else f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        weight_map |= {row.name: name for row in group}
        with files.open_new(folder / name) as file:
            file.write(_header(group, dtype))
            for row in group:
                file.write(_bytes(row, *next(tensors)))
    if len(groups) > 1:
        total = width * sum(row.size for row in rows)
        files.write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _header(rows: Sequence[Parameter], dtype: str) -> bytes:
    """safetensors: length, then JSON with offsets, padded to 8 bytes so that numbers are aligned."""
    code, _, width = DTYPES[dtype]
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for row in rows:
        table[row.name] = {"dtype": code, "shape": list(row.shape), "data_offsets": [at, at := at + width * row.size]}
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes(row: Parameter, name: str, tensor: Tensor) -> memoryview:
    if name != row.name or tensor.numel() != math.prod(row.shape):
        raise IntegrityError(
            f"{name} stands where {row.name} belongs", where="weights", cure="Export a checkpoint of this recipe"
        )
    if not bool(torch.isfinite(tensor).all()):
        raise IntegrityError(f"{name} is not finite", where="weights", cure="Train the phase again; do not release it")
    return memoryview(tensor.contiguous().view(-1).view(torch.uint8).numpy())

"""Two checkpoints, tensor by tensor: equal, one the other's cast, or how far apart. A buffer at a time."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from yulan.errors import IntegrityError, StateError
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.state import TENSORS
from yulan.train.checkpoint.stream import BUFFER, KINDS

Relation = Literal["equal", "cast", "distance", "shape", "only in A", "only in B"]
CASTS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One tensor of two checkpoints."""

    set: str
    name: str
    relation: Relation
    dtype: str | None
    """Of a cast: the narrower type whose values one of both holds, rounded from the other."""
    max_abs: float | None
    """Largest difference; null unless both have it in one shape and every number is finite."""
    relative: float | None
    """|A - B| / |A|, both L2 norms; null as above, and where only A is zero."""


def diff(a: Path, b: Path) -> list[Pair]:
    """A row for each (set, tensor) of either: checkpoint folders, or folders of safetensors files, whose set is `weights`.

    Raises: StateError: a folder holds no tensors; IntegrityError: a file cannot be read.
    """
    left, right = _open(a), _open(b)
    order = {name: place for place, (_, name) in enumerate([*left, *right])}
    keys = sorted(left.keys() | right.keys(), key=lambda key: (KINDS.index(key[0]), order[key[1]]))
    return [_pair(kind, name, left, right) for kind, name in keys]


Tensors = Mapping[tuple[str, str], Callable[[], Tensor]]
"""(set, name) -> the tensor, mapped when it is asked for."""


def _open(folder: Path) -> Tensors:
    if (folder / TENSORS).is_file():
        found = read_checkpoint(folder)
        return {(kind, name): partial(found.tensor, name, kind) for kind, name in found.files if kind in KINDS}
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise StateError("holds no tensors", where=folder, cure="Name a checkpoint, or a folder with .safetensors files")
    try:
        opened = [safe_open(path, framework="pt") for path in paths]
        return {(KINDS[0], name): partial(file.get_tensor, name) for file in opened for name in file.offset_keys()}
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"cannot be read ({error})", where=folder, cure="Fetch the folder again") from None


def _pair(kind: str, name: str, left: Tensors, right: Tensors) -> Pair:
    relation: Relation = "only in A"
    if (kind, name) not in left:
        relation = "only in B"
    elif (kind, name) in right:
        a, b = left[kind, name](), right[kind, name]()
        if a.shape == b.shape:
            return _measured(kind, name, a.reshape(-1), b.reshape(-1))
        relation = "shape"
    return Pair(set=kind, name=name, relation=relation, dtype=None, max_abs=None, relative=None)


def _measured(kind: str, name: str, a: Tensor, b: Tensor) -> Pair:
    same, casts = True, set(CASTS)
    largest, off, norm = 0.0, 0.0, 0.0
    for low in range(0, a.numel(), BUFFER):
        x, y = a[low : low + BUFFER].float(), b[low : low + BUFFER].float()
        same = same and torch.equal(x.view(torch.int32), y.view(torch.int32))
        casts = {each for each in casts if _is_cast(x, y, CASTS[each])}
        apart = (x.double() - y.double()).abs()
        # max of Python would drop a NaN.
        largest = float(torch.maximum(apart.max(), torch.tensor(largest)))
        off += float(apart.square().sum())
        norm += float(x.double().square().sum())
    relation: Relation = "equal" if same else "cast" if casts else "distance"
    # What is exact in both narrow types is named by the one that training uses.
    dtype = min(casts) if relation == "cast" else None
    relative = 0.0 if off == 0.0 else math.sqrt(off / norm) if norm else math.inf
    return Pair(set=kind, name=name, relation=relation, dtype=dtype, max_abs=_finite(largest), relative=_finite(relative))


def _finite(value: float) -> float | None:
    """JSON has no other numbers."""
    return value if math.isfinite(value) else None


def _is_cast(x: Tensor, y: Tensor, dtype: torch.dtype) -> bool:
    def rounded(one: Tensor, other: Tensor) -> bool:
        return torch.equal(one.to(dtype).float().view(torch.int32), other.view(torch.int32))

    return rounded(x, y) or rounded(y, x)

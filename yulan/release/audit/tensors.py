"""Numbers of weights on a hub, by range requests: safetensors, and the one-tensor files of DeepSpeed's universal layout."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from yulan.release.audit.layouts import weights
from yulan.release.audit.ranges import LONGEST
from yulan.release.audit.survey import Seen, Survey
from yulan.release.audit.zipped import floats
from yulan.release.gate.contents import HEAD

Raw = npt.NDArray[np.unsignedinteger[Any]]
KINDS = {"F32": "<u4", "BF16": "<u2", "F16": "<u2"}
"""As safetensors calls them, and the whole numbers that have their bits."""
UNIVERSAL = re.compile(r"(?:^|/)zero/(?P<name>.+)/fp32\.pt$")
BLOCK = 4 << 20
"""Numbers that are asked for at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor of a revision."""

    dtype: str
    size: int
    """Numbers in it."""
    read: Callable[[int, int], bytes | None]
    """(first byte, how many) -> bytes of its numbers."""

    def bits(self, first: int, count: int) -> Raw | None:
        """Bit patterns of `count` numbers; null: they cannot be had."""
        kind = np.dtype(KINDS[self.dtype])
        raw = self.read(first * kind.itemsize, count * kind.itemsize)
        return np.frombuffer(raw, kind) if raw is not None and len(raw) == count * kind.itemsize else None

    def values(self, first: int, count: int) -> npt.NDArray[np.float32] | None:
        bits = self.bits(first, count)
        if bits is None:
            return None
        if self.dtype == "BF16":
            return np.left_shift(bits.astype(np.uint32), np.uint32(16)).view(np.float32)
        return bits.view(np.float32) if self.dtype == "F32" else bits.view(np.float16).astype(np.float32)


def cast(values: npt.NDArray[np.float32], dtype: str) -> Raw:
    """fp32 numbers rounded to nearest even, as torch's cast rounds; in bits."""
    bits = values.view(np.uint32)
    if dtype == "F32":
        return bits
    if dtype == "F16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).view(np.uint16)
    rounded = bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)
    return (rounded >> 16).astype(np.uint16)


def safetensors(survey: Survey, seen: Seen) -> dict[str, Tensor]:
    """Of a revision's weights; only those whose type is one of KINDS."""
    found: dict[str, Tensor] = {}
    for name in weights(seen.files):
        if name.endswith(".safetensors"):
            begin, told = header(survey, seen, name)
            found |= {tensor: held for tensor, about in told.items() if (held := _held(survey, seen, name, begin, about))}
    return found


def header(survey: Survey, seen: Seen, name: str) -> tuple[int, dict[str, Any]]:
    """Where a safetensors file's tensors begin, and what each is; (0, {}) if it cannot be read."""
    size = seen.files[name].size
    head = survey.part(seen, name, 0, min(size, HEAD)) or b""
    length = int.from_bytes(head[:8], "little")
    if len(head) < 8 or not 0 < length <= min(LONGEST, size - 8):
        return 0, {}
    if len(head) < 8 + length:
        head += survey.part(seen, name, len(head), 8 + length - len(head)) or b""
    try:
        told = json.loads(head[8 : 8 + length])
    except (ValueError, RecursionError):
        return 0, {}
    return 8 + length, {name: about for name, about in told.items() if name != "__metadata__"} if isinstance(told, dict) else {}


def _held(survey: Survey, seen: Seen, file: str, begin: int, about: Any) -> Tensor | None:
    try:
        low, high = (int(offset) for offset in about["data_offsets"])
        width = np.dtype(KINDS[about["dtype"]]).itemsize
        size = math.prod(int(axis) for axis in about["shape"])
    except (KeyError, TypeError, ValueError):
        return None
    if low < 0 or high - low != size * width or begin + high > seen.files[file].size:
        return None
    return Tensor(
        dtype=about["dtype"], size=size, read=lambda at, count: survey.part(seen, file, begin + low + at, count) if count else b""
    )


class Universal(Mapping[str, Tensor]):
    """The fp32 masters of DeepSpeed's universal layout, one file each, looked into when asked for."""

    def __init__(self, survey: Survey, seen: Seen) -> None:
        self._survey, self._seen = survey, seen
        self._files = {match["name"]: file for file in seen.files if (match := UNIVERSAL.search(file))}

    def __getitem__(self, name: str) -> Tensor:
        """Raises: KeyError: none of that name, or its file is not one of one fp32 tensor."""
        file = self._files[name]
        if (found := floats(self._survey, self._seen, file)) is None:
            raise KeyError(name)
        begin, size = found
        return Tensor(dtype="F32", size=size, read=lambda at, count: self._survey.part(self._seen, file, begin + at, count))

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

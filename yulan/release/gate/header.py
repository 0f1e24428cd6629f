"""Whether the header of a safetensors file can be trusted, asked before any library opens the file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LARGEST_HEADER = 100 << 20
"""Bytes of the largest safetensors header: what the library itself accepts."""
DENSEST = 1 << 20
"""Commas and opening brackets of a header: some 100,000 tensors. They bound its memory to 0.5 GB, whatever it says."""
WIDTHS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Bits of a number, by the format's own names of types."""


class _Object(list[tuple[str, Any]]):
    """Pairs of a JSON object: told from an array, and keys twice are seen."""


def unsound(path: Path) -> str | None:
    """Why a safetensors file's header cannot be trusted, or None."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        return unsound_header(head + file.read(min(int.from_bytes(head, "little"), LARGEST_HEADER)), size)


def unsound_header(head: bytes, size: int) -> str | None:
    """Why the header at the start of a safetensors file of `size` bytes cannot be trusted, or None."""
    length = int.from_bytes(head[:8], "little")
    if length > min(size - 8, LARGEST_HEADER):
        return f"a header of {length} bytes"
    raw = head[8 : 8 + length]
    if sum(map(raw.count, (b",", b"[", b"{"))) > DENSEST:
        return f"a header of more than {DENSEST:,} values"
    try:
        told = json.loads(raw.decode("utf-8"), object_pairs_hook=_Object)
    except (ValueError, RecursionError):
        return "a header that is not one"
    if len(raw) != length or not isinstance(told, _Object):
        return "a header that is not one"
    if len({name for name, _ in told}) != len(told):
        return "a tensor stands twice"
    return next(_complaints(told, size - 8 - length), None)


def _complaints(told: _Object, end: int) -> Iterator[str]:
    """`end`: bytes after the header."""
    spans = []
    for name, about in told:
        if name == "__metadata__":
            if not isinstance(about, _Object) or not all(isinstance(value, str) for _, value in about):
                yield "metadata that is not text"
            continue
        fields = dict(about) if isinstance(about, _Object) and len(about) == 3 else {}
        if fields.keys() != {"dtype", "shape", "data_offsets"} or not isinstance(fields["dtype"], str):
            yield "a header that is not one"
            return
        span, shape = fields["data_offsets"], fields["shape"]
        if not _integers(span) or len(span) != 2 or not _integers(shape):
            yield "a header that is not one"
            return
        if span[0] <= span[1] and _bits(fields["dtype"], shape, end) != 8 * (span[1] - span[0]):
            yield "a tensor's bytes are not those of its type and shape"
        spans.append(span)
    at = 0
    for begin, after in sorted(spans):
        if begin != at or after < begin:
            yield "tensors overlap or leave gaps"
        at = after
    if at != end:
        yield "tensors do not fill the file"


def _integers(value: object) -> bool:
    return isinstance(value, list) and not isinstance(value, _Object) and all(type(each) is int for each in value)


def _bits(dtype: str, shape: list[int], end: int) -> int | None:
    """Bits of a tensor; None where they are none, or more than the file has."""
    if dtype not in WIDTHS or any(each < 0 for each in shape):
        return None
    count = 0 if 0 in shape else 1
    for each in shape if count else ():
        count *= each
        if count > 8 * end:
            return None
    return count * WIDTHS[dtype]

"""Tensors as a stream: each rank gives its pieces, rank 0 sees whole tensors pass by, a buffer at a time.

The memory this takes is BUFFER, whatever the model's size.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from yulan.model.shape import Parameter

BUFFER = 1 << 22
"""fp32 numbers in flight: 16 MiB, in two halves, one filled while the other is written."""
TIMEOUT = datetime.timedelta(minutes=20)
"""Longest that a collective waits for a rank that is stopped or writes."""
KINDS = ("weights", "exp_avg", "exp_avg_sq")

Fragment = Callable[[str, str], tuple[int, Tensor] | None]
"""(tensor name, kind) -> this rank's piece: where it starts in the flattened tensor, and its numbers (fp32, one axis)."""


Parts = Iterator[tuple[Parameter, memoryview]]
"""Bytes of tensors, one tensor after the other, each in one or more parts."""


def tensor_bytes(parameters: Sequence[Parameter], fragment: Fragment, kind: str, group: Any = None) -> Parts:
    """Little-endian bytes of tensors one after the other, in parts. Every rank must exhaust it; only rank 0 is given parts.

    A part may be used until parts of `half()` more numbers were given out. A rank that has it all gives its own memory.
    Ranks' pieces are summed as integers, so that each bit arrives as it is (as floats, -0.0 + 0.0 would become 0.0), by the
    connections of `group` (all of the ranks; default: those that training uses).
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        yield from _own_bytes(parameters, fragment, kind)
        return
    total, size = sum(p.size for p in parameters), half()
    halves = torch.empty(2, min(size, total), dtype=torch.float32)
    for turn, low in enumerate(range(0, total, size)):
        part = halves[turn % 2, : min(size, total - low)].zero_()
        begin, spans = 0, []
        for parameter in parameters:
            start, stop = max(begin, low), min(begin + parameter.size, low + len(part))
            if start < stop:
                spans.append((parameter, start - low, stop - low))
                _place(part, low - begin, fragment(parameter.name, kind))
            begin += parameter.size
        _to_first(part, group)
        if dist.get_rank() == 0:
            raw = memoryview(part.numpy()).cast("B")
            for parameter, start, stop in spans:
                yield parameter, raw[start * 4 : stop * 4]


def half() -> int:
    """Numbers of the largest part."""
    return max(1, BUFFER // 2)


def _own_bytes(parameters: Sequence[Parameter], fragment: Fragment, kind: str) -> Parts:
    """Of the only rank."""
    for parameter in parameters:
        piece = fragment(parameter.name, kind)
        if piece is not None and len(piece[1]) == parameter.size:
            numbers = piece[1].detach().cpu().contiguous()
        else:
            numbers = torch.zeros(parameter.size)
            _place(numbers, 0, piece)
        raw, step = memoryview(numbers.numpy()).cast("B"), 4 * half()
        for low in range(0, 4 * parameter.size, step):
            yield parameter, raw[low : low + step]


def _place(part: Tensor, offset: int, piece: tuple[int, Tensor] | None) -> None:
    """Copy what a piece shares with `part`, which begins `offset` numbers into (or before) the piece's tensor."""
    if piece is None:
        return
    begin, numbers = piece
    start, stop = max(begin, offset), min(begin + len(numbers), offset + len(part))
    if start < stop:
        part[start - offset : stop - offset].copy_(numbers[start - begin : stop - begin])


def _to_first(part: Tensor, group: Any) -> None:
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend(group) == "nccl" else torch.device("cpu")
    bits = part.view(torch.int32).to(device)
    dist.reduce(bits, dst=0, group=group)
    if dist.get_rank() == 0:
        part.view(torch.int32).copy_(bits)

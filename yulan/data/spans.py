"""Which tokens of which source a phase takes: consecutive spans along a path, nothing twice unless the mix allows it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yulan.data.shard import Shards
from yulan.errors import DataError
from yulan.mix import Portions

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What a phase takes of one source's train stream."""

    quota: int
    """Tokens; 0: the path used this source before, this phase does not."""
    start: int
    """Tokens that the phases before on the path took. Past the stream's end it wraps."""
    repeated: int
    """Tokens of the quota that the path had used before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segments:
    """The phase's tokens as contiguous stretches of shard files, in the order of the stream."""

    paths: tuple[str, ...]
    """The files, numbered by `shard`."""
    shard: Ints
    start: Ints
    """First id in the file."""
    length: Ints


def plan_spans(mix: Portions, budget: int, shards: Shards, taken: Mapping[str, Span]) -> dict[str, Span]:
    """A span for each source of the mix and of the path before it; the quotas sum to `budget`.

    `taken`: the parent phase's spans, none for the first phase.

    Raises: DataError: sources that cannot fill their quota, with quota, tokens there and tokens taken.
    """
    quotas = mix.quotas(budget)
    spans, short = {}, []
    for name in sorted(quotas.keys() | taken.keys()):
        quota = quotas.get(name, 0)
        start = taken[name].start + taken[name].quota if name in taken else 0
        there = shards.sources[name].train.tokens if name in shards.sources else 0
        uses = 1 + mix.sources[name].repeats if name in mix.sources else 1
        if quota and start + quota > there * uses:
            allowed = f" x {uses}" if uses > 1 else ""
            short.append(f"{name}: {quota:,} tokens wanted, {there:,}{allowed} there, {start:,} taken by earlier phases")
        spans[name] = Span(quota=quota, start=start, repeated=max(0, start + quota - max(start, there)) if quota else 0)
    if short:
        raise DataError(
            f"{len(short)} source{'s' * (len(short) > 1)} cannot fill the quota",
            cure="Lower the weight, allow repeats in the mix, or add text",
            evidence=short,
        )
    return spans


def cut_segments(spans: Mapping[str, Span], shards: Shards) -> Segments:
    """The spans, one source after the other by name, cut where a file ends or a stream wraps."""
    paths: list[str] = []
    rows: list[tuple[int, int, int]] = []
    for name, span in sorted(spans.items()):
        if not span.quota:
            continue
        split = shards.sources[name].train
        first = len(paths)
        paths += [file.path for file in split.files]
        ends = np.cumsum([file.tokens for file in split.files])
        position, left = span.start % split.tokens, span.quota
        while left:
            file = int(np.searchsorted(ends, position, "right"))
            begin = int(ends[file]) - split.files[file].tokens
            count = min(left, int(ends[file]) - position)
            rows.append((first + file, position - begin, count))
            left -= count
            position = (position + count) % split.tokens
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Segments(paths=tuple(paths), shard=table[:, 0], start=table[:, 1], length=table[:, 2])

"""From a mix to the windows of a phase, by the recipe's packing.

`stream` cuts the spans wherever a window is full. `best-fit` and `whole` cut documents that are longer than a window into
pieces of T ids and a rest, place the pieces by best-fit decreasing, and take as much as fills the phase's windows: the mix
divides, to the token, the most ids that have room.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from yulan.data.fit import best_fit, plan
from yulan.data.pack import PIECE, Header, Ints, save_pack, write_pack
from yulan.data.shard import Shards
from yulan.data.spans import Span, cut_segments, plan_spans
from yulan.data.trace import count_cut
from yulan.errors import DataError
from yulan.mix import Portions
from yulan.recipe.training import Packing

Starts = Callable[[str], Ints]
"""Where the documents of a source begin in its train stream."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A phase's pack, and what became of its documents."""

    header: Header
    targets: int
    """Inputs whose next id carries loss."""
    cut: int
    """Documents that an edge of a window or of a span divides, and that are trained on."""
    truncated: int
    """Ids whose next one, in the same document, is no target: it belongs to another phase, or lies past the budget."""

    @property
    def summary(self) -> dict[str, int | str]:
        """As a manifest has it."""
        about = self.header
        return {
            "windows": about.windows,
            "tokens": about.tokens,
            "packing": about.packing,
            "padding": about.padding,
            "left_out": about.left_out,
            "targets": self.targets,
            "cut_documents": self.cut,
            "truncated_targets": self.truncated,
        }


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Parts:
    """Stretches of one source's documents inside a span, in the order of the stream."""

    place: Ints
    """First id in the stream."""
    length: Ints
    head: npt.NDArray[np.bool_]
    """Whether it has its document's first id."""
    tail: npt.NDArray[np.bool_]
    """Whether it has its document's last id."""

    def chosen(self, mask: npt.NDArray[np.bool_]) -> "Parts":
        return Parts(place=self.place[mask], length=self.length[mask], head=self.head[mask], tail=self.tail[mask])

    def pieces(self, context: int) -> Ints:
        """How many pieces each is cut into."""
        return -(-self.length // context)


def index_phase(
    folder: Path,
    *,
    packing: Packing,
    portions: Portions,
    windows: int,
    context: int,
    shards: Shards,
    starts: Starts,
    taken: Mapping[str, Span],
) -> Packed:
    """Write the pack of a phase of so many windows; `taken`: the parent phase's spans.

    Raises: DataError: sources that cannot fill their quota, or too few pieces for the windows.
    """
    known: dict[str, Ints] = {}

    def parts_of(spans: Mapping[str, Span], rule: Packing) -> dict[str, Parts]:
        found = {}
        for name, span in sorted(spans.items()):
            if span.quota:
                if name not in known:
                    known[name] = _fitting(starts(name), name, shards.sources[name].train.tokens)
                found[name] = _parts(known[name], shards.sources[name].train.tokens, span, rule, context)
        return found

    def spans_of(tokens: int) -> dict[str, Span]:
        return plan_spans(portions, tokens, shards, taken)

    if packing == "stream":
        spans = spans_of(windows * context)
        header = write_pack(folder, context=context, spans=spans, segments=cut_segments(spans, shards), shards=shards)
        parts = parts_of(spans, packing)
        sizes = {name: shards.sources[name].train.tokens for name in known}
        return _counted(header, parts, count_cut(spans, known, sizes, context))
    spans = _filling(spans_of, lambda spans: _bins(parts_of(spans, packing), context), windows, context)
    parts = parts_of(spans, packing)
    header = _write(folder, packing, windows, context, spans, parts, shards)
    divided = sum(int(((each.length > context) | ~each.head | ~each.tail).sum()) for each in parts.values())
    return _counted(header, parts, divided)


def _fitting(starts: Ints, name: str, tokens: int) -> Ints:
    """Raises: DataError: documents begin behind the end of their stream."""
    if not len(starts) or int(starts[-1]) >= tokens:
        cure = "Build the shards again"
        raise DataError(f"the documents of {name} are not those of its {tokens:,} tokens", cure=cure)
    return starts


def _counted(header: Header, parts: Mapping[str, Parts], cut: int) -> Packed:
    ended = sum(int(each.tail.sum()) for each in parts.values())
    open_ = sum(int((~each.tail).sum()) for each in parts.values())
    targets = header.tokens - header.padding - ended - open_
    return Packed(header=header, targets=targets, cut=cut, truncated=open_)


def _parts(starts: Ints, size: int, span: Span, rule: Packing, context: int) -> Parts:
    """The documents in a span, once for every time around the stream; a span that wraps begins a document there.

    Under `whole`, what a span's edge leaves of a document that would fit a window is not among them.
    """
    stop = span.start + span.quota
    found = []
    for lap in range(span.start // size, (stop - 1) // size + 1):
        low, high = max(span.start - lap * size, 0), min(stop - lap * size, size)
        first, last = (int(np.searchsorted(starts, place, "right")) for place in (low, high - 1))
        ends = np.append(starts[first:last], starts[last] if last < len(starts) else size)
        begins = starts[first - 1 : last]
        place, until = np.maximum(begins, low), np.minimum(ends, high)
        made = Parts(place=place, length=until - place, head=begins >= low, tail=ends <= high)
        if rule == "whole":
            made = made.chosen((made.head & made.tail) | (ends - begins > context))
        found.append(made)
    if len(found) == 1:
        return found[0]
    place, length, head, tail = (
        np.concatenate([getattr(each, name) for each in found]) for name in ("place", "length", "head", "tail")
    )
    return Parts(place=place, length=length, head=head, tail=tail)


def _filling(
    spans_of: Callable[[int], dict[str, Span]], bins: Callable[[Mapping[str, Span]], int], windows: int, context: int
) -> dict[str, Span]:
    """Spans of the most tokens that the windows have room for: the last number that fits before one that does not.

    Raises: DataError: there is room left, and a source has no more to give.
    """
    low, high = 0, windows * context + 1
    best, short = dict[str, Span](), None
    while high - low > 1:
        middle = (low + high) // 2
        try:
            spans = spans_of(middle)
        except DataError as error:
            high, short = middle, error
            continue
        if bins(spans) > windows:
            high, short = middle, None
        else:
            low, best = middle, spans
    if short is not None:
        # Told of the whole budget, which lacks as much or more.
        spans_of(windows * context)
        raise short
    return best


def _bins(parts: Mapping[str, Parts], context: int) -> int:
    counts = np.zeros(context + 1, np.int64)
    for each in parts.values():
        counts += np.bincount((each.length - 1) % context + 1, minlength=context + 1)
        counts[context] += int((each.pieces(context) - 1).sum())
    return plan(counts, context)[1]


def _write(
    folder: Path,
    packing: Packing,
    windows: int,
    context: int,
    spans: Mapping[str, Span],
    parts: Mapping[str, Parts],
    shards: Shards,
) -> Header:
    """Place the pieces and write the index; a window's pieces stand in the order of the phase's stream."""
    paths: list[str] = []
    nothing = np.empty(0, np.int64)
    rows, lengths = [(nothing,) * 4], [nothing]
    for name, each in parts.items():
        place, length, more = _pieces(each, context)
        lengths.append(length)
        split = shards.sources[name].train
        files = np.array([file.tokens for file in split.files], np.int64)
        rows.append(_in_files(place, length + more, files, len(paths)))
        paths += [file.path for file in split.files]
    length = np.concatenate(lengths)
    window, opened = best_fit(length, context)
    window = _spread(window, opened, windows, context, folder)
    count, shard, start, size = (np.concatenate([row[n] for row in rows]) for n in range(4))
    of = np.repeat(window, count)
    order = np.argsort(of, kind="stable")
    pieces = np.empty(len(order), PIECE)
    pieces["shard"], pieces["start"], pieces["length"] = shard[order], start[order], size[order]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=windows))])
    filled = int(length.sum())
    header = Header(
        format=2,
        context=context,
        windows=windows,
        tokens=windows * context,
        packing=packing,
        padding=windows * context - filled,
        left_out=sum(span.quota for span in spans.values()) - filled,
        dtype=shards.dtype,
        eos_id=shards.eos_id,
        vocab_size=shards.vocab_size,
        shards=tuple(paths),
        sources=spans,
    )
    save_pack(folder, header, offsets, pieces)
    return header


def _pieces(parts: Parts, context: int) -> tuple[Ints, Ints, Ints]:
    """Place and length of each piece, and 1 where the id behind it is its last target: a window's T + 1st id."""
    count = parts.pieces(context)
    of = np.repeat(np.arange(len(count)), count)
    turn = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    length = np.minimum(parts.length[of] - turn * context, context)
    return parts.place[of] + turn * context, length, (turn < count[of] - 1).astype(np.int64)


def _in_files(place: Ints, length: Ints, sizes: Ints, first: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Stretches of a stream, cut where a file ends: parts of each, then file (the first is `first`), start and length."""
    ends = np.cumsum(sizes)
    low, high = np.searchsorted(ends, place, "right"), np.searchsorted(ends, place + length - 1, "right")
    count = high - low + 1
    of = np.repeat(np.arange(len(place)), count)
    file = low[of] + np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    begin = np.maximum(place[of], ends[file] - sizes[file])
    until = np.minimum((place + length)[of], ends[file])
    return count, first + file, begin - (ends[file] - sizes[file]), until - begin


def _spread(window: Ints, opened: int, windows: int, context: int, folder: Path) -> Ints:
    """A window for each piece so that none is empty: the last pieces of shared windows move into those that are.

    Raises: DataError: there are fewer pieces than windows.
    """
    if opened == windows:
        return window
    order = np.argsort(window, kind="stable")
    shared = order[1:][window[order[1:]] == window[order[:-1]]]
    if len(window) < windows:
        raise DataError(
            f"{len(window)} pieces of documents cannot fill {windows} windows of {context}",
            where=folder,
            cure="Lower the phase's tokens, add text, or choose `packing: stream`",
        )
    moved = window.copy()
    moved[shared[len(shared) - (windows - opened) :]] = np.arange(opened, windows)
    return moved

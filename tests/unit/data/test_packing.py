"""Laws of packing: who is cut, what is left out, and that nothing is given out twice."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.data.conftest import Maker, sentences
from yulan.data.batch import NO_LOSS, assemble
from yulan.data.fit import best_fit
from yulan.data.pack import OFFSETS, PIECE, PIECES, Pack
from yulan.data.packing import Packed, index_phase
from yulan.data.shard import ShardFile, Shards, SourceShards, Split, document_starts
from yulan.data.spans import Span
from yulan.errors import DataError
from yulan.mix import Part, Portions
from yulan.recipe.training import Packing

PACKINGS: tuple[Packing, ...] = ("stream", "best-fit", "whole")


def index(documents: Mapping[str, Sequence[int]], capacity: int) -> Shards:
    """An index of sources whose documents have those lengths, in files of `capacity` ids."""
    none = Split(documents=0, tokens=0, bytes=0, files=())
    sources = {}
    for name, lengths in documents.items():
        total = sum(lengths)
        cuts = range(0, total, capacity)
        parts = tuple(
            ShardFile(path=f"{name}/train/tokens-{n:05d}.bin", tokens=min(capacity, total - low)) for n, low in enumerate(cuts)
        )
        sources[name] = SourceShards(train=Split(documents=len(lengths), tokens=total, bytes=0, files=parts), held=none)
    return Shards(format=1, dtype="uint16", vocab_size=300, eos_id=2, bos_id=None, sources=sources)


@dataclass(frozen=True, kw_only=True)
class Piece:
    row: int
    source: str
    place: int
    length: int
    """Inputs."""
    last: bool
    """Whether the id behind it is a target of it."""


def pieces_of(folder: Path, made: Packed, shards: Shards) -> list[Piece]:
    offsets, table = np.fromfile(folder / OFFSETS, "<u8").tolist(), np.fromfile(folder / PIECES, PIECE).tolist()
    before = {}
    for source in shards.sources.values():
        seen = 0
        for file in source.train.files:
            before[file.path] = seen
            seen += file.tokens
    found = []
    for row, (low, high) in enumerate(itertools.pairwise(offsets)):
        position = 0
        assert low < high
        for shard, start, length in table[low:high]:
            path = made.header.shards[shard]
            inputs = min(length, made.header.context - position)
            place = before[path] + start
            if inputs:
                found.append(Piece(row=row, source=path.split("/")[0], place=place, length=inputs, last=length > inputs))
            position += length
        assert position <= made.header.context + 1
    return found


def ids_of(span: Span, size: int) -> Counter[int]:
    return Counter(((span.start + np.arange(span.quota)) % size).tolist())


def inputs_of(pieces: Sequence[Piece], source: str) -> Counter[int]:
    return Counter(i for each in pieces if each.source == source for i in range(each.place, each.place + each.length))


LENGTHS = st.lists(st.integers(2, 60), min_size=4, max_size=40)
PHASES = st.lists(
    st.tuples(
        st.sampled_from(PACKINGS),
        st.integers(1, 6),
        st.sampled_from([8, 16, 33]),
        st.lists(st.integers(0, 5), min_size=2, max_size=2).filter(any),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(a=LENGTHS, b=LENGTHS, capacity=st.integers(7, 200), phases=PHASES, repeats=st.integers(0, 2), fork=st.booleans())
def test_a_path_takes_every_id_once_and_the_mix_divides_them_to_the_token(a, b, capacity, phases, repeats, fork):
    shards = index({"a": a, "b": b}, capacity)
    starts = {name: np.cumsum([0, *lengths[:-1]]) for name, lengths in (("a", a), ("b", b))}
    sizes = {"a": sum(a), "b": sum(b)}
    taken: dict[str, Span] = {}
    given_out = {name: Counter[int]() for name in sizes}
    for number, (packing, windows, context, weights) in enumerate(phases):
        parts = {name: Part(weight=weight, repeats=repeats) for name, weight in zip("ab", weights, strict=True)}
        portions = Portions(total=sum(weights), sources=parts)
        with TemporaryDirectory() as place:
            try:
                made = index_phase(
                    Path(place),
                    packing=packing,
                    portions=portions,
                    windows=windows,
                    context=context,
                    shards=shards,
                    starts=starts.__getitem__,
                    taken=taken,
                )
            except DataError:
                # The path has used up a source.
                return
            pieces = pieces_of(Path(place), made, shards)
        header, spans = made.header, made.header.sources
        took = sum(span.quota for span in spans.values())
        assert {name: span.quota for name, span in spans.items()} == portions.quotas(took)
        assert took == header.tokens - header.padding + header.left_out
        assert sum(each.length for each in pieces) == header.tokens - header.padding
        left_out = 0
        for name, span in spans.items():
            assert span.start == (taken[name].start + taken[name].quota if name in taken else 0)
            spare = ids_of(span, sizes[name])
            spare.subtract(inputs_of(pieces, name))
            assert min(spare.values(), default=0) >= 0
            left_out += sum(spare.values())
            given_out[name] += inputs_of(pieces, name)
        assert left_out == header.left_out
        assert packing == "whole" or not left_out
        require_uncut(pieces, packing, context, {"a": a, "b": b}, spans, sizes)
        if not (fork and number == 0):
            taken = dict(spans)
            assert all(max(each.values(), default=0) <= 1 + repeats for each in given_out.values())
        else:
            given_out = {name: Counter[int]() for name in sizes}


def require_uncut(pieces, packing: Packing, context: int, documents, spans, sizes) -> None:
    """Who fits a window stands whole in one, but for those that a span's edge divides under `best-fit`."""
    if packing == "stream":
        return
    for name, lengths in documents.items():
        edges = {spans[name].start % sizes[name], (spans[name].start + spans[name].quota) % sizes[name]}
        ends = np.cumsum(lengths)
        by_document: dict[tuple[int, int], int] = Counter()
        for each in pieces:
            if each.source == name:
                document = int(np.searchsorted(ends, each.place, "right"))
                assert each.place + each.length <= ends[document]
                by_document[document, each.row] += each.length
        for (document, _), inputs in by_document.items():
            begin, end = int(ends[document]) - lengths[document], int(ends[document])
            if lengths[document] <= context and inputs % lengths[document]:
                assert packing == "best-fit"
                assert any(begin < edge < end for edge in edges)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=300), st.integers(30, 40))
def test_best_fit_is_the_textbooks(lengths: list[int], capacity: int):
    """Against best-fit decreasing a piece at a time, as Ding et al. write it."""
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [number for number, room in enumerate(rooms) if room >= length]
        if fitting:
            rooms[min(fitting, key=rooms.__getitem__)] -= length
        else:
            rooms.append(capacity - length)
    chosen, bins = best_fit(np.array(lengths), capacity)
    filled = np.bincount(chosen, lengths, bins)
    assert bins == len(rooms)
    assert sorted(filled) == sorted(capacity - room for room in rooms)
    assert np.array_equal(chosen, best_fit(np.array(lengths), capacity)[0])


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_is_counted_is_what_the_trainer_gets(make_shards: Maker, tmp_path: Path, packing: Packing):
    folder, shards = make_shards({"a": sentences(1, 40), "b": sentences(2, 40)}, capacity=333)
    portions = Portions(total=3, sources={"a": Part(weight=2, repeats=0), "b": Part(weight=1, repeats=0)})
    made = index_phase(
        tmp_path / "mix",
        packing=packing,
        portions=portions,
        windows=40,
        context=64,
        shards=shards,
        starts=lambda name: document_starts(folder, name),
        taken={},
    )
    pack = Pack.open(tmp_path / "mix", folder)
    micro = assemble(pack, np.arange(40))
    assert int((micro.targets != NO_LOSS).sum()) == made.targets
    # Whoever is cut into windows has every one of its ids as a target but the first.
    assert made.truncated <= 2
    real = np.arange(64) < pack.rows(np.arange(40)).lengths[:, None]
    assert int((~real).sum()) == made.header.padding
    # An id and its target belong to one document: bounds lie behind every end, and where padding begins.
    rows, columns = np.nonzero((micro.tokens[:, :-1] == shards.eos_id) & real)
    inner = columns + 1 < 64
    assert set((rows[inner] * 64 + columns[inner] + 1).tolist()) <= set(micro.cu_seqlens.tolist())
    assert (micro.targets[rows, columns] == NO_LOSS).all()


def index_one(folder: Path, lengths: Sequence[int], packing: Packing, windows: int, context: int, start: int) -> list[Piece]:
    """The pieces of a phase of one source, of which `start` ids were taken before."""
    shards = index({"a": lengths}, 15)
    made = index_phase(
        folder,
        packing=packing,
        portions=Portions(total=1, sources={"a": Part(weight=1, repeats=0)}),
        windows=windows,
        context=context,
        shards=shards,
        starts=lambda name: np.cumsum([0, *lengths[:-1]]),
        taken={"a": Span(quota=start, start=0, repeated=0)},
    )
    return pieces_of(folder, made, shards)


def told(pieces: Sequence[Piece]) -> list[tuple[int, int, int]]:
    """Row, first id and number of the inputs that follow each other, whatever file they lie in."""
    found: list[tuple[int, int, int]] = []
    for each in pieces:
        row, place, length = found[-1] if found else (-1, 0, 0)
        if (row, place + length) == (each.row, each.place):
            found[-1] = (row, place, length + each.length)
        else:
            found.append((each.row, each.place, each.length))
    return found


def test_a_long_document_fills_windows_and_its_rest_shares_one(tmp_path: Path):
    pieces = index_one(tmp_path, [40, 4, 6, 9], "whole", 3, 16, 0)
    # The budget of 48 ids ends inside the third document, which is left out.
    assert told(pieces) == [(0, 0, 16), (1, 16, 16), (2, 32, 12)]
    assert [each.row for each in pieces if each.last] == [0, 1]


def test_best_fit_takes_what_a_spans_edge_leaves_of_a_document(tmp_path: Path):
    assert told(index_one(tmp_path, [9, 9, 9, 9], "best-fit", 2, 12, 5)) == [(0, 9, 9), (1, 5, 4), (1, 18, 8)]


def test_whole_leaves_it_out(tmp_path: Path):
    assert told(index_one(tmp_path, [9, 9, 9, 9], "whole", 2, 12, 5)) == [(0, 9, 9), (1, 18, 9)]


def test_too_few_pieces_for_the_windows_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="1 pieces of documents cannot fill 2 windows of 60"):
        index_one(tmp_path, [60] * 10, "whole", 2, 60, 40)


def test_text_that_runs_out_is_told_with_the_whole_budgets_numbers(tmp_path: Path):
    with pytest.raises(DataError, match="a: 640 tokens wanted, 300 there, 0 taken by earlier phases"):
        index_one(tmp_path, [30] * 10, "best-fit", 10, 64, 0)

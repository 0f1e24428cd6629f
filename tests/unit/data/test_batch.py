"""Laws of batches: no loss across documents, and the same whoever asks."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.unit.data.conftest import Maker, sentences
from yulan.data.batch import NO_LOSS, Batches, assemble
from yulan.data.order import Order, OrderExhausted
from yulan.data.pack import Pack, write_pack
from yulan.data.spans import cut_segments, plan_spans
from yulan.mix import Mix, Part

CONTEXT, BATCH, GRID = 32, 8, 4


@pytest.fixture
def batches(make_shards: Maker, tmp_path: Path) -> Batches:
    folder, shards = make_shards({"a": sentences(1, 30), "b/c": sentences(2, 30)}, capacity=64)
    mix = Mix(total=2, sources={name: Part(weight=1, repeats=0) for name in shards.sources}, intent=None, files=None)
    spans = plan_spans(mix, 20 * CONTEXT, shards, {})
    write_pack(tmp_path / "mix", context=CONTEXT, spans=spans, segments=cut_segments(spans, shards), shards=shards)
    pack = Pack.open(tmp_path / "mix", folder)
    return Batches(pack=pack, order=Order(windows=pack.windows, key="k"), batch=BATCH, grid=GRID)


def test_the_last_id_of_a_document_and_of_a_span_carries_no_loss(batches: Batches):
    for row in range(batches.pack.windows):
        micro, window = assemble(batches.pack, np.array([row])), batches.pack.window(row)
        for place in range(CONTEXT):
            begins = place + 1 in window.starts or window.tokens[place] == 2
            spans_edge = (row * CONTEXT + place + 1) % (10 * CONTEXT) == 0
            expected = NO_LOSS if begins or spans_edge else window.tokens[place + 1]
            assert micro.targets[0, place] == expected


def test_only_the_very_last_input_lacks_a_target(batches: Batches):
    tokens = assemble(batches.pack, np.arange(batches.pack.windows))
    without = int((tokens.targets == NO_LOSS).sum())
    ends = int((tokens.tokens[:, :-1] == 2).sum())
    assert ends <= without <= ends + 2  # and where one source ends, and at the end


def test_positions_restart_with_each_document(batches: Batches):
    micro = batches.micro(0, 1)
    bounds = micro.cu_seqlens
    assert (bounds.dtype, bounds[0], bounds[-1]) == (np.int32, 0, micro.targets.size)
    assert (np.diff(bounds) > 0).all()
    flat = micro.positions.ravel()
    for begin, end in itertools.pairwise(bounds):
        assert flat[begin:end].tolist() == list(range(end - begin))
    assert {int(each) for each in bounds} >= set(range(0, micro.targets.size, CONTEXT))


def test_a_micro_batch_has_the_shapes_and_types_of_the_model(batches: Batches):
    micro = batches.micro(8, 3)
    assert (micro.tokens.shape, micro.targets.shape, micro.positions.shape) == ((2, 33), (2, 32), (2, 32))
    assert {each.dtype for each in (micro.inputs, micro.targets, micro.positions, micro.cu_seqlens)} == {np.dtype(np.int32)}
    assert (micro.rows.dtype, micro.inputs.shape, micro.last.shape) == (np.dtype(np.int64), (2, 32), (2,))


def test_micro_batches_read_at_once_are_those_read_one_by_one(batches: Batches):
    for consumed, indices in ((0, range(GRID)), (8, range(1, 3)), (12, range(3, 4))):
        for index, micro in zip(indices, batches.micros(consumed, indices), strict=True):
            alone = batches.micro(consumed, index)
            for name in ("rows", "tokens", "targets", "cu_seqlens", "positions"):
                assert getattr(micro, name).tolist() == getattr(alone, name).tolist()
            assert micro.digest == alone.digest


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_batches_are_the_same_for_any_number_of_ranks(batches: Batches, ranks: int):
    for consumed in (0, 8):
        # Each rank takes its own micro-batches of the grid; together they are the step.
        parts = {index: batches.micro(consumed, index) for rank in range(ranks) for index in range(rank, GRID, ranks)}
        rows = np.concatenate([parts[index].rows for index in range(GRID)])
        assert rows.tolist() == [batches.order[i] for i in range(consumed, consumed + BATCH)]
        whole = assemble(batches.pack, rows)
        assert np.array_equal(np.concatenate([parts[index].tokens for index in range(GRID)]), whole.tokens)
        assert np.array_equal(np.concatenate([parts[index].targets for index in range(GRID)]), whole.targets)


def test_a_finer_grid_gives_the_same_windows(batches: Batches):
    finer = Batches(pack=batches.pack, order=batches.order, batch=BATCH, grid=8)
    assert [int(finer.micro(0, i).rows[0]) for i in range(8)] == [int(r) for i in range(4) for r in batches.micro(0, i).rows]


def test_no_window_comes_twice_in_a_phase(batches: Batches):
    seen = [int(row) for consumed in (0, 8) for index in range(GRID) for row in batches.micro(consumed, index).rows]
    assert len(seen) == len(set(seen)) == 16


def test_the_digest_tells_batches_apart_and_comes_back(batches: Batches):
    digests = [batches.micro(consumed, index).digest for consumed in (0, 8) for index in range(GRID)]
    assert len(set(digests)) == 8
    assert digests[5] == batches.micro(8, 1).digest


def test_golden_digest_of_a_batch(batches: Batches):
    assert batches.micro(0, 0).digest == "768832e581f77c0dd4461169885e5f40d92823975f6f2c97dcef4653789fd7bc"


@pytest.mark.parametrize(("consumed", "index"), [(13, 0), (20, 0), (-1, 0), (0, 4), (0, -1)])
def test_a_step_past_the_last_full_one_is_an_error(batches: Batches, consumed: int, index: int):
    with pytest.raises(OrderExhausted, match=f"micro-batch {index} of 4 after {consumed} of 20 windows does not exist"):
        batches.micro(consumed, index)

"""Laws of the order: a permutation, stateless, the same everywhere."""

import hashlib
import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yulan.data.order import BLOCK, Order, OrderExhausted, order_key
from yulan.errors import DataError


@given(st.integers(1, 3000), st.text(max_size=8))
def test_every_row_comes_exactly_once(windows: int, key: str):
    rows = Order(windows=windows, key=key).rows(np.arange(windows))
    assert np.array_equal(np.sort(rows), np.arange(windows))


@given(st.integers(1, 1 << 40), st.data())
def test_any_place_is_a_row_and_costs_no_walk_from_the_start(windows: int, data: st.DataObject):
    order = Order(windows=windows, key="k")
    index = data.draw(st.integers(0, windows - 1))
    assert 0 <= order[index] < windows
    assert order[index] == order.rows(np.array([0, index]))[1]


def test_a_place_far_away_is_found_at_once():
    order = Order(windows=10**12, key="far")
    begin = time.perf_counter()
    found = order.rows(np.arange(10**12 - 1000, 10**12))
    assert time.perf_counter() - begin < 0.5
    assert len(set(found.tolist())) == 1000


@given(st.integers(1, 3 * BLOCK), st.data())
def test_a_span_is_its_places_one_by_one(windows: int, data: st.DataObject):
    order = Order(windows=windows, key="k")
    begin = data.draw(st.integers(0, windows))
    count = data.draw(st.integers(0, windows - begin))
    assert order.span(begin, count).tolist() == order.rows(np.arange(begin, begin + count)).tolist()


@pytest.mark.parametrize(("begin", "count"), [(-1, 2), (9, 2)])
def test_a_span_past_the_phase_is_an_error(begin: int, count: int):
    with pytest.raises(OrderExhausted, match="is asked for, the phase has 10"):
        Order(windows=10, key="k").span(begin, count)


def test_golden_order():
    assert Order(windows=10, key="golden").rows(np.arange(10)).tolist() == [3, 1, 9, 4, 6, 2, 0, 5, 8, 7]
    assert Order(windows=1 << 33, key=order_key("0" * 64, 7))[123456789] == 7314780493


def by_the_page(windows: int, key: str, index: int) -> int:
    """The order as docs/formats/tokens.md states it, in whole numbers."""
    words = struct.unpack("<4Q", hashlib.sha256(key.encode()).digest())
    half = max(1, ((windows - 1).bit_length() + 1) // 2)
    while True:
        left, right = index >> half, index % (1 << half)
        for word in words:
            mixed = right ^ word
            for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
                mixed = (mixed ^ (mixed >> shift)) * factor % (1 << 64)
            left, right = right, left ^ (mixed ^ (mixed >> 31)) % (1 << half)
        index = (left << half) + right
        if index < windows:
            return index


@given(st.integers(1, 1 << 45), st.text(max_size=8), st.data())
def test_the_order_is_the_one_that_the_page_states(windows: int, key: str, data: st.DataObject):
    index = data.draw(st.integers(0, windows - 1))
    assert Order(windows=windows, key=key)[index] == by_the_page(windows, key, index)


def test_the_key_comes_from_the_pack_and_the_seed():
    keys = {order_key("a", 1), order_key("b", 1), order_key("a", 2)}
    assert len(keys) == 3
    assert len({tuple(Order(windows=50, key=key).rows(np.arange(50)).tolist()) for key in keys}) == 3


def test_the_order_looks_random():
    rows = Order(windows=10_000, key="k").rows(np.arange(10_000))
    assert abs(np.corrcoef(np.arange(10_000), rows)[0, 1]) < 0.05
    assert abs(rows[:1000].mean() - 5000) < 400


@pytest.mark.parametrize("index", [-1, 10])
def test_a_place_outside_the_phase_is_an_error(index: int):
    with pytest.raises(OrderExhausted, match=f"window {index} is asked for, the phase has 10. Stop at the last full step"):
        Order(windows=10, key="k")[index]
    assert issubclass(OrderExhausted, DataError)


@given(st.integers(1, 1 << 45), st.text(max_size=8), st.data())
def test_indices_are_the_inverse_of_rows(windows: int, key: str, data: st.DataObject):
    order = Order(windows=windows, key=key)
    indices = np.array(data.draw(st.lists(st.integers(0, windows - 1), max_size=20)), np.int64)
    assert order.indices(order.rows(indices)).tolist() == indices.tolist()
    assert order.rows(order.indices(indices)).tolist() == indices.tolist()


@pytest.mark.parametrize("row", [-1, 10])
def test_a_row_that_the_phase_does_not_have_is_an_error(row: int):
    with pytest.raises(DataError, match=f"row {row} is not one of 10"):
        Order(windows=10, key="k").indices(np.array([row]))

"""Intervals that are known from elsewhere."""

import pytest

from yulan.evaluate.intervals import mean, ratio, wilson
from yulan.study.divergence import Limits, ended, rose, spikes

LIMITS = Limits(window=4, rise=1.0, ceiling=5.0, spike=1.0)


@pytest.mark.parametrize(("hits", "of", "low", "high"), [(0, 8, 0.0, 0.3244), (8, 8, 0.6756, 1.0), (1, 10, 0.0179, 0.4042)])
def test_wilson_gives_the_published_bounds(hits: int, of: int, low: float, high: float):
    found = wilson(hits, of)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_a_mean_without_spread_has_an_interval_of_no_width():
    found = mean([2.0] * 5)
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)
    assert found.beyond_zero


def test_the_interval_of_a_mean_is_that_of_the_normal_law_where_there_are_many():
    found = mean([float(n % 2) for n in range(400)])
    assert found.value == 0.5
    assert found.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.003)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.003)


def test_a_ratio_weighs_documents_by_their_bytes():
    assert ratio([1.0, 8.0], [1.0, 2.0]).value == 3.0
    equal = ratio([2.0, 6.0, 4.0], [1.0, 3.0, 2.0])
    assert (equal.value, equal.low, equal.high) == (2.0, pytest.approx(2.0), pytest.approx(2.0))


def test_a_loss_that_rises_for_good_has_diverged_and_a_spike_has_not():
    assert rose([6, 5, 4, 4, 4, 4, 9, 4, 4, 4], LIMITS) == "lasting rise"
    assert rose([6, 5, 4, 4, 4, 4, 7, 4, 4, 4], LIMITS) is None
    assert rose([6, 5, float("nan")], LIMITS) == "not finite"


def test_the_end_must_beat_token_frequencies():
    assert ended(5.0, LIMITS) == "no better than token frequencies"
    assert ended(4.99, LIMITS) is None
    assert ended(float("nan"), LIMITS) is not None


def test_neighbouring_steps_are_one_spike():
    assert spikes([4, 4, 4, 4, 6, 6, 4, 4, 4, 4, 6], LIMITS) == [4, 10]

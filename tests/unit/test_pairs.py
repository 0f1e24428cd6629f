"""Laws of what the benches share."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from tests.bench import pairs
from tests.bench.pairs import Aim


def test_contenders_take_turns_and_each_begins_a_round_equally_often():
    told: list[str] = []
    pairs.interleave({name: lambda name=name: told.append(name) for name in "abc"}, 5, warmup=1)
    assert "".join(told) == "abcbcacab" * 2


def test_warm_up_rounds_are_not_counted():
    clock = iter([100.0, 1.0, 2.0])
    assert pairs.rounds({"a": lambda: next(clock)}, 2, warmup=1)["a"].tolist() == [1.0, 2.0]


def test_the_interval_holds_the_median_and_is_the_same_each_time():
    values = np.random.default_rng(1).normal(1.0, 0.1, 50)
    middle, low, high = pairs.interval(values)
    assert low < middle == np.median(values) < high
    assert pairs.interval(values) == (middle, low, high)


def test_a_ratio_is_of_each_pair_not_of_the_medians():
    over, under = np.array([1.0, 20.0, 3.0]), np.array([1.0, 10.0, 1.0])
    line = pairs.ratio("x", over, under, told=str, aim=None)
    assert (line.middle, line.ours, line.peer) == (2.0, "3.0", "1.0")


@pytest.mark.parametrize(("at", "value", "reached"), [("least", 0.9, True), ("least", 1.0, False), ("most", 1.1, True)])
def test_an_aim_is_held_against_the_far_end_of_the_interval(at, value, reached):
    assert Aim(at=at, value=value).reached(0.95, 1.05) is reached
    assert not Aim(at="most", value=1.0).reached(0.95, 1.05)


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(pairs.__file__).parent.glob("*.py")))
def test_a_bench_finds_all_that_it_measures(name: str):
    importlib.import_module(f"tests.bench.{name}")

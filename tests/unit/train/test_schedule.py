import pytest

from yulan.recipe import Anneal, Schedule
from yulan.train.schedule import learning_rate

SCHEDULE = Schedule(peak=0.01, warmup=4)
ANNEAL = Anneal(start=10, length=16, hold=None)


def test_the_rate_rises_in_a_line_and_reaches_the_peak_with_the_last_warm_up_step():
    assert [learning_rate(step, SCHEDULE, None) for step in (1, 2, 3, 4, 5)] == [0.0025, 0.005, 0.0075, 0.01, 0.01]


def test_without_an_anneal_the_rate_stays_at_the_peak():
    assert learning_rate(10**9, SCHEDULE, None) == 0.01


def test_no_warm_up_begins_at_the_peak():
    assert learning_rate(1, Schedule(peak=0.01, warmup=0), None) == 0.01


def test_an_anneal_falls_as_one_minus_a_square_root_and_ends_at_zero():
    found = [learning_rate(step, SCHEDULE, ANNEAL) for step in (10, 14, 19, 26, 27)]
    assert found == pytest.approx([0.01, 0.005, 0.0025, 0.0, 0.0])
    assert found[-1] == 0.0


def test_a_hold_keeps_the_rate_that_its_step_has():
    held = Anneal(start=10, length=16, hold=19)
    assert learning_rate(26, SCHEDULE, held) == learning_rate(19, SCHEDULE, ANNEAL) > 0


def test_yulan_minis_clamp_leaves_the_rate_at_five_in_a_hundred_thousand():
    anneal = Anneal(start=243198, length=19000, hold=262000)
    assert learning_rate(262198, Schedule(peak=0.01, warmup=2433), anneal) == pytest.approx(5.2e-5, rel=0.01)


def test_the_rate_depends_on_the_global_step_alone():
    first = [learning_rate(step, SCHEDULE, ANNEAL) for step in range(1, 30)]
    assert first[:15] + [learning_rate(step, SCHEDULE, ANNEAL) for step in range(16, 30)] == first


def test_a_later_warm_up_climbs_from_zero_again():
    assert [learning_rate(step, SCHEDULE, None, warm=20) for step in (21, 22, 24, 25)] == [0.0025, 0.005, 0.01, 0.01]

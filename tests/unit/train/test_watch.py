"""The rule is a function of what was accepted before: no value that was refused can move it."""

import math
from dataclasses import replace

import pytest

from tests.unit.train.conftest import small_recipe
from yulan.errors import RecipeError, TrainError
from yulan.recipe.training import Stretch, Watch
from yulan.train.checkpoint.state import NOTHING, Watched
from yulan.train.watch import follow, refusal, require_patience, stands_out, target

NAN, INF = math.nan, math.inf
RULE = Watch(every=5, window=8, least=4, loss=8.0, grad_norm=16.0, floor=0.01, patience=3, within=6, rollbacks=1)


def calm(steps: int = 8) -> Watched:
    """Losses around 2 with a spread of 0.1, norms around 1."""
    seen = NOTHING
    for step in range(1, steps + 1):
        seen = follow(RULE, seen, step, 2.0 + 0.1 * (step % 3 - 1), 1.0 + 0.1 * (step % 3 - 1), None)
    return seen


def judge(seen: Watched, step: int, loss: float, norm: float) -> tuple[str | None, Watched]:
    why = refusal(RULE, seen, loss, norm)
    return why, follow(RULE, seen, step, loss, norm, why)


@pytest.mark.parametrize(
    ("loss", "norm", "why"),
    [
        (2.1, 1.1, None),
        (0.1, 0.001, None),
        (200.0, 1.0, "loss"),
        (2.0, 100.0, "grad_norm"),
        (NAN, 1.0, "not finite"),
        (2.0, NAN, "not finite"),
        (INF, INF, "not finite"),
    ],
)
def test_what_stands_out_upwards_or_is_not_finite_is_refused_with_its_reason(loss: float, norm: float, why: str | None):
    assert refusal(RULE, calm(), loss, norm) == why


def test_before_enough_steps_were_accepted_only_what_is_not_finite_is_refused():
    for steps in range(RULE.least):
        assert refusal(RULE, calm(steps), 200.0, 100.0) is None
        assert refusal(RULE, calm(steps), NAN, 1.0) == "not finite"
    assert refusal(RULE, calm(RULE.least), 200.0, 1.0) == "loss"


def test_refused_values_never_enter_the_window_and_a_thousand_of_them_change_no_judgement():
    seen = calm()
    for step in range(9, 1009):
        why, after = judge(seen, step, (NAN, INF, 200.0)[step % 3], 1.0)
        assert why is not None
        assert (after.losses, after.norms) == (seen.losses, seen.norms)
        seen = after
    assert refusal(RULE, seen, 2.1, 1.1) is None
    assert refusal(RULE, seen, 200.0, 1.0) == "loss"


def test_a_spike_that_was_let_through_hides_no_later_one():
    """A mean and a standard deviation over the same window would: 6 sigma of it lie at 320."""
    seen = follow(RULE, calm(), 9, 200.0, 1.0, None)
    assert max(seen.losses) == 200.0
    assert refusal(RULE, seen, 200.0, 1.0) == "loss"


def test_equal_values_have_the_floor_as_their_spread():
    rule = replace(RULE, loss=8.0, floor=0.01)
    assert not stands_out(2.15, [2.0] * 8, rule.loss, rule)
    assert stands_out(2.17, [2.0] * 8, rule.loss, rule)


def test_the_window_holds_the_newest_accepted_steps():
    seen = NOTHING
    for step in range(1, 21):
        seen = follow(RULE, seen, step, float(step), 0.5, None)
    assert seen.losses == tuple(float(step) for step in range(13, 21))
    assert len(seen.norms) == RULE.window


def test_a_step_that_the_recipe_skips_leaves_no_trace():
    assert follow(RULE, calm(), 9, NAN, NAN, "told") == calm()


def test_training_goes_back_once_enough_of_the_last_steps_were_refused():
    seen = calm()
    for step in (20, 27, 29):
        seen = follow(RULE, seen, step, NAN, NAN, "not finite")
        assert target(RULE, seen, step, 10) is None, "20 is forgotten at 27"
    seen = follow(RULE, seen, 31, NAN, NAN, "not finite")
    assert seen.refused == (27, 29, 31)
    assert target(RULE, seen, 31, 10) == 20, "the last one before the first of them, not that of step 30"
    assert target(RULE, seen, 32, 10) is None, "an accepted step changes nothing"


@pytest.mark.parametrize(
    ("refused", "every", "wanted"),
    [
        ((7, 8, 9), 10, 0),
        ((11, 12, 13), 10, 10),
        ((10, 11, 12), 10, 0),
        ((27, 29, 31), 2, 28),
        ((28, 29, 30), 10, 20),
    ],
)
def test_it_goes_back_to_a_checkpoint_of_the_schedule_and_at_most_one_behind_the_newest(
    refused: tuple[int, ...], every: int, wanted: int
):
    assert target(RULE, replace(calm(), refused=refused), refused[-1], every) == wanted


def test_it_never_goes_to_a_checkpoint_that_was_taken_back():
    seen = replace(calm(), refused=(33, 34, 35), rollbacks=1, back=20, since=32)
    assert target(RULE, seen, 35, 10) == 20
    assert target(RULE, replace(seen, refused=(43, 44, 45)), 45, 10) == 40


def test_a_run_that_went_back_as_often_as_it_may_ends_by_name():
    seen = replace(calm(), refused=(31, 32, 33), rollbacks=1)
    with pytest.raises(TrainError, match="3 of the last 6 steps refused, after going back 1 times") as raised:
        require_patience(RULE, seen, 133, NAN, INF)
    assert "step 133: loss nan, gradient norm inf" in raised.value.what
    require_patience(RULE, replace(seen, rollbacks=0), 133, NAN, INF)


@pytest.mark.parametrize(("key", "other"), [("least", "window"), ("patience", "within")])
def test_a_rule_that_contradicts_itself_is_refused(key: str, other: str):
    with pytest.raises(RecipeError, match=f"{key} is larger than {other}"):
        replace(RULE, **{key: getattr(RULE, other) + 1})


@pytest.mark.parametrize("stretches", [[(0, 1)], [(3, 2)], [(40, 49)], [(5, 6), (6, 7)], [(5, 6), (1, 2)]])
def test_steps_to_skip_lie_in_the_phase_in_rising_order(stretches: list[tuple[int, int]]):
    phase = small_recipe().phase("phase-01")
    skip = tuple(Stretch(first=first, last=last) for first, last in stretches)
    with pytest.raises(RecipeError, match="not stretches in rising order within steps 1 to 48"):
        replace(phase, skip=skip).require_sound("phase-01")
    good = replace(phase, skip=(Stretch(first=1, last=1), Stretch(first=2, last=48)))
    good.require_sound("phase-01")
    assert all(good.skips(step) for step in range(1, 49))

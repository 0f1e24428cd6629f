import os
import signal

import pytest

from yulan.errors import TrainError
from yulan.train.watch import PATIENCE, Stop, Watch

NAN, INF = float("nan"), float("inf")


def test_a_finite_step_is_not_skipped():
    assert Watch().skipped(1, 2.0, 0.5) is False


def test_a_gradient_that_is_not_finite_is_skipped_until_patience_ends():
    watch = Watch()
    assert [watch.skipped(step, NAN, INF) for step in range(1, PATIENCE)] == [True] * (PATIENCE - 1)
    with pytest.raises(TrainError, match=r"step 9: loss nan, gradient norm inf; 3 such steps in a row"):
        watch.skipped(9, NAN, INF)


def test_a_good_step_between_bad_ones_gives_patience_back():
    watch = Watch()
    for step in range(1, 10):
        assert watch.skipped(step, 1.0, 1.0 if step % 2 else NAN) is (step % 2 == 0)


def test_a_loss_that_is_not_finite_under_a_finite_gradient_stops_at_once():
    with pytest.raises(TrainError, match="step 4: loss inf"):
        Watch().skipped(4, INF, 1.0)


def test_a_signal_asks_to_stop_and_a_second_one_changes_nothing():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        stop = Stop()
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])

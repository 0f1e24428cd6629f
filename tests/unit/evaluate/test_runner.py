from collections.abc import Callable

import numpy as np
import pytest
import torch

from yulan.evaluate import runner as module
from yulan.evaluate.runner import Runner


def test_each_sequence_is_given_back_as_if_it_ran_alone(
    runner: Callable[..., Runner], documents: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    some = runner(1)
    monkeypatch.setattr(module, "PACK", 40)
    together = dict(some.each(documents))
    assert sorted(together) == list(range(len(documents)))
    for index, document in enumerate(documents):
        ((_, alone),) = some.each([document])
        assert together[index].shape == (len(document), 32)
        torch.testing.assert_close(together[index], alone, rtol=1e-4, atol=1e-5)


def test_a_sequence_longer_than_a_pack_runs_by_itself(runner: Callable[..., Runner], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PACK", 4)
    found = dict(runner(1).each([np.arange(9), np.arange(2)]))
    assert [len(found[index]) for index in (0, 1)] == [9, 2]


def test_no_sequence_is_no_work(runner: Callable[..., Runner]):
    assert not list(runner(1).each([]))

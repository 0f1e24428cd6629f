"""Saving behind the training; test_run.py kills it at every level."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.unit.train.conftest import World
from tests.unit.train.test_checkpoint import PARAMETERS, RECIPE, numbers
from yulan import files
from yulan.errors import ResourceError
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.saver import Saver
from yulan.train.checkpoint.scan import newest, step_name
from yulan.train.checkpoint.state import State, read_state
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import METRICS
from yulan.train.phase import train_phase

FULL = """import shutil
shutil.disk_usage = lambda folder: type("Usage", (), {"free": 10})
"""
"""What a rank imports before all else, on a disk that is full."""


@pytest.fixture
def state(tmp_path: Path) -> State:
    return read_state(write_initial(tmp_path / "init", RECIPE))


class Training:
    """Numbers that change, and a saver behind them."""

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state, self.saver = folder, state, Saver()
        self.numbers = {key: tensor.clone() for key, tensor in numbers(1).items()}
        self.gate = threading.Event()
        """What a save waits for before it writes."""

    def save(self, step: int) -> None:
        fragment = self.saver.snapshot(PARAMETERS, lambda name, kind: (0, self.numbers[name, kind].view(-1)))

        def write() -> None:
            self.gate.wait(10)
            write_checkpoint(self.folder / step_name(step), replace(self.state, global_step=step), PARAMETERS, fragment)

        self.saver.start(write)

    def step(self) -> None:
        self.saver.check()
        for tensor in self.numbers.values():
            tensor.add_(1)


def test_what_is_saved_is_the_state_of_its_step_whatever_the_steps_after_did(tmp_path: Path, state: State):
    training = Training(tmp_path, state)
    for step in (1, 2):
        training.save(step)
        training.step()
        training.gate.set()
        training.saver.finish()
        found = read_checkpoint(tmp_path / step_name(step))
        for (name, kind), tensor in numbers(1).items():
            expected = tensor + 1 if step == 2 else tensor
            assert torch.equal(found.tensor(name, kind).view(torch.int32), expected.view(torch.int32))


def test_a_second_snapshot_takes_no_more_memory_and_waits_for_the_save_before(tmp_path: Path, state: State):
    training = Training(tmp_path, state)
    training.save(1)
    places = {key: piece[1].data_ptr() for key, piece in training.saver.copies.items()}
    threading.Timer(0.3, training.gate.set).start()
    training.save(2)
    assert newest(tmp_path)[0] == tmp_path / step_name(1), "the first one is written before the second is begun"
    assert {key: piece[1].data_ptr() for key, piece in training.saver.copies.items()} == places
    training.saver.finish()
    assert newest(tmp_path)[0] == tmp_path / step_name(2)


@pytest.mark.parametrize("surface", ["step", "finish", "save"])
def test_a_save_that_fails_says_so_at_the_next_step_the_next_save_and_the_end(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch, surface: str
):
    training = Training(tmp_path, state)
    training.gate.set()
    training.save(1)
    training.saver.finish()
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    training.save(2)
    training.saver.thread.join()
    with pytest.raises(ResourceError, match="bytes are needed and 10 are free"):
        {"step": training.step, "finish": training.saver.finish, "save": lambda: training.save(3)}[surface]()
    assert newest(tmp_path)[0] == tmp_path / step_name(1)
    training.saver.finish()


def test_a_step_does_not_wait_for_a_save(tmp_path: Path, state: State):
    training = Training(tmp_path, state)
    training.save(1)
    training.step()
    assert newest(tmp_path) == (None, [])
    training.gate.set()
    training.saver.wait()
    assert newest(tmp_path)[0] == tmp_path / step_name(1)


@pytest.mark.slow
def test_a_run_whose_save_fails_ends_by_name_and_leaves_the_checkpoint_before(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tmp_path / "run"
    before = train_phase(world.plan(4), run).kept[-1]
    files.write_text(tmp_path / "full" / "sitecustomize.py", FULL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "full"))
    with pytest.raises(ResourceError, match="bytes are needed and 10 are free"):
        train_phase(world.plan(20), run)
    assert newest(run / CHECKPOINTS) == (before, [])
    # Six is the first that is saved; the step after it, or the one after that, says what became of it.
    assert 6 <= len(files.complete_rows(run / METRICS)) < 10

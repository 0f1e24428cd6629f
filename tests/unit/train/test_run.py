"""Whole runs on real processes. A launch takes about ten seconds, so each test makes the most of its own."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.unit.train.conftest import World, profile
from tests.unit.train.disturb import (
    disturb,
    flip,
    kill_launcher,
    kill_rank,
    kill_stage,
    steps_done,
    terminate_rank,
    terminate_stage,
    tree,
)
from yulan import files
from yulan.errors import IntegrityError, StateError, TrainError
from yulan.model.shape import parameters
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.scan import step_name, steps_in
from yulan.train.checkpoint.state import read_state
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import METRICS
from yulan.train.phase import link_outcome, train_phase

pytestmark = pytest.mark.slow
STEPS = 48
"""Of eight windows; a checkpoint each second one."""


@pytest.fixture(scope="module")
def undisturbed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that nobody touched links into its artifact."""
    folder = tmp_path_factory.mktemp("undisturbed")
    link_outcome(train_phase(world.plan(STEPS), folder / "run"), folder / "data")
    return folder / "data"


@pytest.mark.large
def test_a_run_killed_at_every_level_ends_byte_equal_to_the_undisturbed_one(world: World, undisturbed: Path, tmp_path: Path):
    run = tmp_path / "run"
    for after, strike, message in (
        (3, kill_rank, "a training process ended with code 1"),
        (9, kill_launcher, "a training process ended with code -9"),
        (17, terminate_rank, "training ended before its last step"),
        (27, terminate_stage, "stopped by SIGTERM"),
    ):
        code, said = disturb(world, run, after, strike, steps=STEPS)
        assert code == 9
        assert message in said
        assert "run the same command again" in said
    stopped = max(steps_in(run / CHECKPOINTS))
    assert stopped < STEPS
    assert steps_done(run) == stopped, "a signal makes a checkpoint of the step in which it comes"
    assert disturb(world, run, stopped + 4, kill_stage, steps=STEPS) == (-signal.SIGKILL, "")
    link_outcome(train_phase(world.plan(STEPS), run), tmp_path / "data")
    assert tree(tmp_path / "data") == tree(undisturbed)


def test_deepspeeds_launcher_stops_and_ends_as_torchrun_does(world: World, undisturbed: Path, tmp_path: Path):
    run = tmp_path / "run"
    code, said = disturb(world, run, 5, terminate_stage, steps=STEPS, launcher="deepspeed")
    assert code == 9
    assert "stopped by SIGTERM" in said
    (stopped, *_) = sorted(steps_in(run / CHECKPOINTS), reverse=True)
    assert steps_done(run) == stopped, "a signal makes a checkpoint of the step in which it comes"
    link_outcome(train_phase(world.plan(STEPS, profile=replace(profile(2), launcher="deepspeed")), run), tmp_path / "data")
    assert tree(tmp_path / "data") == tree(undisturbed)


def test_a_finished_run_is_only_linked_again(world: World, undisturbed: Path, tmp_path: Path):
    started = time.monotonic()
    files.write_text(tmp_path / "data" / "stale", "from a stage that was killed while it linked")
    older = files.make_folder(undisturbed.parent / "run" / CHECKPOINTS / step_name(2))
    files.link(undisturbed / CHECKPOINTS / step_name(STEPS) / "manifest.json", older / "manifest.json")
    link_outcome(train_phase(world.plan(STEPS), undisturbed.parent / "run"), tmp_path / "data")
    assert time.monotonic() - started < 2
    assert tree(tmp_path / "data") == tree(undisturbed)
    assert not older.exists(), "a kill between the last save and its tidying leaves nothing"
    final = f"{CHECKPOINTS}/{step_name(STEPS)}/state.json"
    assert (tmp_path / "data" / final).stat().st_ino == (undisturbed / final).stat().st_ino


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    world: World, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    files.link_tree(undisturbed / CHECKPOINTS, tmp_path / "copy")
    run = tmp_path / "run"
    for path in (undisturbed / CHECKPOINTS).rglob("*.*"):
        files.copy(path, run / path.relative_to(undisturbed))
    for log in undisturbed.glob("*.jsonl"):
        files.copy(log, run / log.name)
    last = run / CHECKPOINTS / step_name(STEPS) / "exp_avg-00001-of-00001.safetensors"
    flip(last, last.stat().st_size - 5)
    outcome = train_phase(world.plan(STEPS), run)
    assert f"{step_name(STEPS)}: changed  exp_avg-00001-of-00001.safetensors" in capsys.readouterr().err
    assert outcome.warnings
    link_outcome(outcome, tmp_path / "data")
    assert tree(tmp_path / "data") == tree(undisturbed)


def test_without_any_whole_checkpoint_nothing_starts_again_from_the_beginning(world: World, undisturbed: Path, tmp_path: Path):
    for path in (undisturbed / CHECKPOINTS).rglob("*.*"):
        files.copy(path, tmp_path / path.relative_to(undisturbed))
    for path in (tmp_path / CHECKPOINTS).glob("*/state.json"):
        flip(path, 20)
    with pytest.raises(IntegrityError, match="no checkpoint is whole") as raised:
        train_phase(world.plan(STEPS), tmp_path)
    assert len(raised.value.evidence) == 2


@pytest.mark.parametrize("name", ["lock", "trainer.lock"])
def test_a_second_trainer_in_a_run_folder_is_refused(world: World, tmp_path: Path, name: str):
    handle = files.lock(tmp_path / name)
    with pytest.raises(StateError, match="another process works in this folder"):
        train_phase(world.plan(STEPS), tmp_path)
    assert not (tmp_path / "job.json").exists()
    os.close(handle)


def test_another_number_of_ranks_goes_on_as_close(world: World, undisturbed: Path, tmp_path: Path):
    begin = undisturbed / CHECKPOINTS / step_name(STEPS)
    state = read_state(begin)
    assert (state.trajectory, state.determinism.ranks) == ("EXACT", 2)
    outcome = train_phase(world.plan(2, phase="phase-02", parent=begin, profile=profile(1)), tmp_path)
    assert (outcome.state.trajectory, outcome.state.determinism.ranks) == ("CLOSE", 1)
    assert outcome.state.global_step == STEPS + 2
    assert "from here on CLOSE" in outcome.warnings[0]


def test_a_loss_that_stays_not_finite_ends_the_run_by_name_and_leaves_the_last_checkpoint(
    world: World, undisturbed: Path, tmp_path: Path
):
    begin = read_checkpoint(undisturbed / CHECKPOINTS / step_name(STEPS))
    parts = parameters(world.recipe.model)

    def spoilt(name: str, kind: str) -> tuple[int, torch.Tensor]:
        tensor = begin.tensor(name, kind).clone().view(-1)
        return 0, tensor.fill_(torch.inf) if name == "model.norm.weight" and kind == "weights" else tensor

    write_checkpoint(tmp_path / "parent", begin.state, parts, spoilt)
    never = replace(world.recipe, watch=replace(world.recipe.watch, rollbacks=0))
    with pytest.raises(TrainError, match=f"step {STEPS + 3}: loss nan, gradient norm (inf|nan); 3 of the last 10 steps refused"):
        train_phase(world.plan(4, phase="phase-02", parent=tmp_path / "parent", recipe=never), tmp_path / "run")
    skipped = [row["skipped"] for row in files.complete_rows(tmp_path / "run" / METRICS)]
    assert skipped == [True, True]
    saved = read_checkpoint(tmp_path / "run" / CHECKPOINTS / step_name(STEPS + 2))
    assert (saved.state.skipped, saved.state.adam_step) == ((STEPS + 1, STEPS + 2), STEPS)
    for kind in ("weights", "exp_avg", "exp_avg_sq"):
        assert all(torch.equal(saved.tensor(p.name, kind).view(-1), spoilt(p.name, kind)[1]) for p in parts), (
            "nothing was updated"
        )


def test_a_run_folder_of_another_recipe_is_refused_and_the_change_named(world: World, undisturbed: Path):
    recipe = replace(world.recipe, seed=7)
    with pytest.raises(StateError, match="holds another run; changed: seed, mix"):
        train_phase(world.plan(STEPS + 1, recipe=recipe), undisturbed.parent / "run")

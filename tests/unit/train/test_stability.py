"""Steps that go wrong are skipped or taken back, and the rest is the run that was told so beforehand, bit for bit."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.train.audit_kit import alone, in_process, make_shop
from tests.unit.train.conftest import MIX, ROOT, World, profile
from tests.unit.train.poison import spoilt
from yulan import files
from yulan.data.order import order_key
from yulan.errors import IntegrityError, StateError, TrainError
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.recipe.training import Stretch
from yulan.schema import plain
from yulan.train.checkpoint.scan import step_name, steps_in
from yulan.train.checkpoint.state import read_state, read_tensors
from yulan.train.determinism import determinism_of
from yulan.train.launch.job import CHECKPOINTS, Job, write_job
from yulan.train.log import METRICS, WATCH
from yulan.train.phase import train_phase
from yulan.train.replay.run import replay
from yulan.train.replay.segment import cut
from yulan.train.replay.verdict import Replayed

NAN = float("nan")
EVERY, STEPS = 4, 26
SPOILT = {7: 400.0, 12: NAN, 18: NAN, 19: 400.0}
"""A loss of a hundred times the usual one and a gradient that is finite; none; and two close to each other."""
TOLD = ((7, 7), (12, 12), (17, 19))
"""What becomes of it: 7 and 12 are skipped; at 19 training goes back to 16, so that 17 is taken back with them."""
SKIPPED = (7, 12, 17, 18, 19)


def watchful(recipe: Recipe, told: Sequence[tuple[int, int]] = (), keep: int = 2) -> Recipe:
    phase = recipe.phase("phase-01")
    skip = tuple(Stretch(first=first, last=last) for first, last in told)
    phase = replace(phase, skip=skip, checkpoints=replace(phase.checkpoints, every=EVERY, keep=keep))
    # So small a model on random ids has gradients of twenty times the usual; those that the tests spoil have 250 times,
    # and their loss tells.
    watch = replace(recipe.watch, window=8, least=4, grad_norm=1000.0, patience=2, within=4, rollbacks=1, every=5)
    return replace(recipe, watch=watch, phases={**recipe.phases, "phase-01": phase})


def end(run: Path, step: int = STEPS) -> tuple[Any, Any]:
    """Digest of every tensor of the last checkpoint, and what its state says but for the way there."""
    folder = run / CHECKPOINTS / step_name(step)
    state = plain(read_state(folder))
    return plain(read_tensors(folder)), {key: state[key] for key in state.keys() - {"keys", "chain", "watched"}}


def rows(run: Path) -> dict[int, dict[str, Any]]:
    return {row["step"]: row for row in files.complete_rows(run / METRICS)}


def train_alone(
    world: World, run: Path, factors: Mapping[int, float], steps: int = STEPS, machine: Profile | None = None
) -> Path:
    """One rank, this process."""
    with in_process(), spoilt(factors):
        train_phase(world.plan(steps, recipe=watchful(world.recipe), profile=machine or alone()), run)
    return run


@pytest.fixture(scope="module")
def spoilt_run(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_alone(world, tmp_path_factory.mktemp("spoilt") / "run", SPOILT)


@pytest.mark.slow
def test_the_log_tells_each_skipped_step_its_reason_its_windows_and_the_way_back(spoilt_run: Path):
    found = rows(spoilt_run)
    assert {step: (row["why"], row["windows"], row["rollback"]) for step, row in found.items() if row["skipped"]} == {
        7: ("loss", [48, 56], None),
        12: ("not finite", [88, 96], None),
        18: ("not finite", [136, 144], None),
        19: ("loss", [144, 152], 16),
    }
    assert found[7]["loss"] > 50 * found[6]["loss"]
    assert list(found) == list(range(1, STEPS + 1))
    state = read_state(spoilt_run / CHECKPOINTS / step_name(STEPS))
    assert (state.skipped, state.adam_step) == (SKIPPED, STEPS - len(SKIPPED))
    assert max(state.watched.losses) < 10
    assert state.watched.rollbacks == 1


@pytest.mark.slow
def test_a_run_stopped_between_two_bad_steps_goes_back_as_the_undisturbed_one_does(
    world: World, spoilt_run: Path, tmp_path: Path
):
    train_alone(world, tmp_path, SPOILT, steps=18)
    assert steps_in(tmp_path / CHECKPOINTS) == [12, 16, 18]
    train_alone(world, tmp_path, SPOILT)
    assert end(tmp_path) == end(spoilt_run)
    assert rows(tmp_path) == rows(spoilt_run)


@pytest.mark.slow
def test_what_stays_not_finite_ends_the_run_after_its_rollbacks_and_leaves_the_checkpoint_before(world: World, tmp_path: Path):
    train_alone(world, tmp_path, {}, steps=8)
    files.link_tree(tmp_path / CHECKPOINTS / step_name(8), tmp_path / "before")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "before").iterdir()}
    with pytest.raises(TrainError, match="step 13: loss nan, gradient norm inf; 2 of the last 4 steps refused, after") as raised:
        train_alone(world, tmp_path, dict.fromkeys(range(10, 99), NAN))
    assert raised.value.exit_code == 9
    assert {path.name: path.read_bytes() for path in (tmp_path / CHECKPOINTS / step_name(8)).iterdir()} == kept
    assert read_state(tmp_path / CHECKPOINTS / step_name(12)).skipped == (9, 10, 11, 12)


@pytest.mark.slow
def test_a_checkpoint_to_go_back_to_that_is_damaged_or_not_there_ends_the_run_by_name(world: World, tmp_path: Path):
    train_alone(world, tmp_path, {}, steps=9)
    path = tmp_path / CHECKPOINTS / step_name(8) / "exp_avg-00001-of-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="is not a whole checkpoint"):
        train_alone(world, tmp_path, {10: NAN, 11: NAN})
    files.remove(tmp_path / CHECKPOINTS / step_name(8))
    with pytest.raises(StateError, match="training has to go back to step 8, whose checkpoint is not there"):
        train_alone(world, tmp_path, {10: NAN, 11: NAN})


@pytest.mark.slow
def test_a_replay_over_skipped_and_taken_back_steps_is_exact_and_one_where_nothing_went_wrong_is_not(
    world: World, tmp_path: Path
):
    shop = make_shop(tmp_path / "shop", world, watchful(world.recipe, keep=9))
    with in_process(), spoilt(SPOILT):
        run = shop.train(tmp_path / "run", 24, alone())

    def replayed(start: int, stop: int) -> Replayed:
        segment = cut(run / CHECKPOINTS / step_name(start), run / CHECKPOINTS / step_name(stop))
        told: dict[str, Any] = {"band": None, "band_at": None, "challenge": None, "look": lambda folder: lambda: None}
        return replay(segment, shop.bench(alone()), into=tmp_path / f"{start}-{stop}", **told)

    with in_process(), spoilt(SPOILT):
        assert [replayed(start, stop).verdict for start, stop in ((4, 8), (16, 20), (12, 24))] == ["EXACT"] * 3
        files.remove(tmp_path / "4-8")
    with in_process():
        found = replayed(4, 8)
    assert (found.verdict, found.first_step.step, found.first_step.name) == ("DIFFERENT", 7, "loss")
    assert found.first_state == "skipped"


def job(world: World, run: Path, recipe: Recipe, ranks: int, zero: int, reduction: str) -> Path:
    machine = replace(profile(ranks, zero), reduction=reduction)
    plan = world.plan(STEPS, recipe=recipe, profile=machine)
    begin = read_state(plan.parent)
    return write_job(
        Job(
            recipe=recipe,
            phase=plan.phase,
            profile=machine,
            folder=str(run),
            mix=str(plan.mix),
            shards=str(plan.shards),
            order=order_key(MIX, recipe.seed),
            parent=str(plan.parent),
            start=str(plan.parent),
            steps=STEPS,
            chain=begin.chain,
            determinism=determinism_of(machine),
            trajectory="EXACT",
            fresh_optimizer=False,
        )
    )


WAYS = [(0, "engine"), (1, "engine"), (2, "engine"), (3, "engine"), (0, "exact"), (3, "exact")]


@pytest.fixture(scope="module")
def both(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On two ranks of one launch, every way: the run that goes wrong, and the one that is told."""
    folder = tmp_path_factory.mktemp("both")
    jobs = []
    for zero, reduction in WAYS:
        for name, told in (("spoilt", ()), ("told", TOLD)):
            run = files.make_folder(folder / f"{zero}-{reduction}" / name)
            jobs.append(str(job(world, run, watchful(world.recipe, told), 2, zero, reduction)))
    factors = {str(step): str(factor) for step, factor in SPOILT.items()}
    task = files.write_json(folder / "task.json", {"jobs": jobs, "spoilt": factors})
    options = ["--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"]
    command = [sys.executable, "-m", "torch.distributed.run", *options, str(Path(__file__).with_name("poison.py")), str(task)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("zero", "reduction"), WAYS)
def test_two_ranks_end_bit_equal_to_a_run_told_to_skip_the_same_windows(both: Path, zero: int, reduction: str):
    spoilt, told = (both / f"{zero}-{reduction}" / name for name in ("spoilt", "told"))
    assert end(spoilt) == end(told)
    assert read_state(spoilt / CHECKPOINTS / step_name(STEPS)).skipped == SKIPPED
    assert {step: row["why"] for step, row in rows(told).items() if row["skipped"]} == dict.fromkeys(SKIPPED, "told")
    assert [row["why"] for row in rows(spoilt).values() if row["skipped"]] == ["loss", "not finite", "not finite", "loss"]
    assert rows(spoilt)[7]["grad_norm"] > 5 * rows(spoilt)[6]["grad_norm"], "finite, and told as it was"


@pytest.mark.slow
def test_under_exact_sums_log_and_looks_know_neither_ranks_nor_stage(world: World, both: Path, tmp_path: Path):
    train_alone(world, tmp_path, SPOILT, machine=replace(alone(), reduction="exact"))
    assert [row["step"] for row in files.complete_rows(tmp_path / WATCH)] == [5, 10, 15, 20, 25]
    for zero in (0, 3):
        run = both / f"{zero}-exact" / "spoilt"
        for name in (METRICS, WATCH):
            assert (run / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.slow
def test_a_look_at_a_skipped_step_has_no_update_and_one_where_training_went_back_is_not_there(world: World, tmp_path: Path):
    train_alone(world, tmp_path, {10: NAN, 14: NAN, 15: NAN}, steps=16)
    found = {row["step"]: row["groups"] is None for row in files.complete_rows(tmp_path / WATCH)}
    assert found == {5: False, 10: True}

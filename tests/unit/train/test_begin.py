"""A phase that begins re-balanced: both sides are kept, the function stays, and no kill, rank or replay tells a difference."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.unit.train.audit_kit import alone, in_process
from tests.unit.train.conftest import World, profile
from tests.unit.train.disturb import disturb, kill_stage, tree
from yulan import files, manifest
from yulan.errors import IntegrityError, RecipeError, StateError
from yulan.layout import MANIFEST, Layout
from yulan.model.shape import parameters
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.rebalance import made_from, require_rebalanced, stated
from yulan.train.checkpoint.scan import step_name, steps_in
from yulan.train.checkpoint.state import begins, read_state
from yulan.train.checkpoint.write import Origin, write_checkpoint
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import METRICS, REPLAY
from yulan.train.phase import link_outcome, train_phase
from yulan.train.replay.challenge import challenged
from yulan.train.replay.segment import before, cut, kept
from yulan.train.replay.verdict import judge

PARENT, STEPS = 4, 6
"""Steps of phase-01, and of phase-02, which begins re-balanced; a checkpoint each second one, two of them kept."""
BEGIN = step_name(PARENT)
MOVED = (3.0, 0.4, 1.0, 6.0)
"""By these the alphas of the parent have left their start."""
LONG = 32
"""Steps that leave time for a kill."""


def rebalanced(recipe: Recipe, phase: str = "phase-02", *, yes: bool = True) -> Recipe:
    return replace(recipe, phases={**recipe.phases, phase: replace(recipe.phase(phase), rebalance=yes)})


def second(world: World, parent: Path, run: Path, machine: Profile | None = None, *, yes: bool = True, **changed: object) -> Path:
    """phase-02 from `parent`, in this process; the run folder."""
    told = {"recipe": rebalanced(world.recipe, yes=yes), "phase": "phase-02", "parent": parent, "profile": machine or alone()}
    with in_process():
        train_phase(world.plan(STEPS, **(told | changed)), run)
    return run


@pytest.fixture(scope="module")
def parent(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The end of phase-01, its alphas moved as a long training moves them."""
    folder = tmp_path_factory.mktemp("parent")
    with in_process():
        outcome = train_phase(world.plan(PARENT, profile=alone()), folder / "run")
    found, parts = read_checkpoint(outcome.kept[-1]), parameters(world.recipe.model)
    by = {p.name: MOVED[number % 4] for number, p in enumerate(each for each in parts if each.kind == "alpha")}

    def moved(name: str, kind: str) -> tuple[int, torch.Tensor]:
        return 0, (found.tensor(name, kind) * (by.get(name, 1.0) if kind == "weights" else 1.0)).reshape(-1)

    write_checkpoint(folder / BEGIN, found.state, parts, moved)
    return folder / BEGIN


@pytest.fixture(scope="module")
def run(world: World, parent: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return second(world, parent, tmp_path_factory.mktemp("begun") / "run")


@pytest.mark.slow
def test_the_phases_first_checkpoint_is_the_parents_end_in_other_coordinates(parent: Path, run: Path):
    first = run / CHECKPOINTS / BEGIN
    require_rebalanced(parent, first)
    assert stated(first)
    assert {alpha.rpartition("_")[2] for alpha in stated(first)} == {"alpha"}
    one, other = read_state(parent), read_state(first)
    assert begins(other)
    assert not begins(one)
    assert (other.cursor.phase, other.cursor.windows, other.global_step, other.phase_step) == ("phase-02", 0, PARENT, 0)
    assert (other.chain, other.adam_step, other.rng) == (one.chain, one.adam_step, one.rng)
    assert other.keys["phases.phase-02"]["rebalance"] is True


@pytest.mark.slow
def test_it_stays_beside_the_newest_of_the_schedule_and_is_linked_into_the_artifact(
    world: World, parent: Path, run: Path, tmp_path: Path
):
    with in_process():
        plan = world.plan(STEPS, recipe=rebalanced(world.recipe), phase="phase-02", parent=parent, profile=alone())
        link_outcome(train_phase(plan, run), tmp_path / "data")
    assert steps_in(tmp_path / "data" / CHECKPOINTS) == [4, 8, 10]
    assert made_from(tmp_path / "data" / CHECKPOINTS / BEGIN) == manifest.read(parent / MANIFEST).digest


@pytest.mark.slow
@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_the_first_loss_is_that_of_the_parents_own_coordinates_bit_for_bit(world: World, parent: Path, tmp_path: Path, zero: int):
    machine = replace(alone(), zero=zero)
    rows = {
        yes: files.complete_rows(second(world, parent, tmp_path / str(yes), machine, yes=yes) / REPLAY) for yes in (True, False)
    }
    assert rows[True][0]["loss"] == rows[False][0]["loss"], "the same function"
    assert rows[True][0]["grad_norm"] != rows[False][0]["grad_norm"], "in other coordinates"
    assert rows[True][1]["loss"] != rows[False][1]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("left", ["nothing but half a begin", "the begin", "a step", "a damaged begin"])
def test_stopped_anywhere_the_same_command_ends_byte_equal(world: World, parent: Path, run: Path, tmp_path: Path, left: str):
    stopped = tmp_path / "run"
    if left == "nothing but half a begin":
        files.copy(run / CHECKPOINTS / BEGIN / "state.json", stopped / CHECKPOINTS / f"{BEGIN}.partial" / "state.json")
    else:
        for path in (run / CHECKPOINTS / BEGIN).iterdir():
            files.copy(path, stopped / CHECKPOINTS / BEGIN / path.name)
    if left in ("a step", "a damaged begin"):
        files.link_tree(run / CHECKPOINTS / step_name(8), stopped / CHECKPOINTS / step_name(8))
        for log in (METRICS, REPLAY):
            files.write_rows(stopped / log, [row for row in files.complete_rows(run / log) if row["step"] <= 8])
    if left == "a damaged begin":
        (stopped / CHECKPOINTS / BEGIN / "state.json").write_text("{}")
    second(world, parent, stopped)
    assert tree(stopped / CHECKPOINTS) == tree(run / CHECKPOINTS)
    assert (stopped / REPLAY).read_bytes() == (run / REPLAY).read_bytes()


@pytest.mark.slow
def test_another_parent_is_refused_before_anything_is_trained(world: World, parent: Path, run: Path, tmp_path: Path):
    found = read_checkpoint(parent)
    parts = parameters(world.recipe.model)
    write_checkpoint(tmp_path / BEGIN, found.state, parts, lambda name, kind: (0, found.tensor(name, kind).reshape(-1) * 2))
    stopped = tmp_path / "run"
    files.link_tree(run / CHECKPOINTS / BEGIN, stopped / CHECKPOINTS / BEGIN)
    with pytest.raises(StateError, match="re-balances another checkpoint than the one named"):
        second(world, tmp_path / BEGIN, stopped)


@pytest.mark.slow
def test_without_moments_the_phase_begins_with_none_and_says_so(world: World, parent: Path, tmp_path: Path):
    run = second(world, parent, tmp_path / "run", fresh_optimizer=True)
    first = read_checkpoint(run / CHECKPOINTS / BEGIN)
    assert not first.has_moments
    assert (first.state.fresh_optimizer, first.state.adam_step) == (True, 0)
    require_rebalanced(parent, run / CHECKPOINTS / BEGIN)
    assert read_state(run / CHECKPOINTS / step_name(10)).adam_step == STEPS


@pytest.mark.slow
def test_a_state_that_is_not_the_parents_is_named(world: World, parent: Path, run: Path, tmp_path: Path):
    found = read_checkpoint(run / CHECKPOINTS / BEGIN)
    told = manifest.read(run / CHECKPOINTS / BEGIN / MANIFEST)
    write_checkpoint(
        tmp_path / BEGIN,
        replace(found.state, adam_step=99),
        parameters(world.recipe.model),
        lambda name, kind: (0, found.tensor(name, kind).reshape(-1)),
        origin=Origin(inputs=told.inputs, summary={"rebalanced": told.summary["rebalanced"]}),
    )
    with pytest.raises(IntegrityError, match="1 tensors or values do not follow") as refused:
        require_rebalanced(parent, tmp_path / BEGIN)
    assert refused.value.evidence == ("adam_step of state.json",)


@pytest.mark.slow
def test_its_first_stretch_is_replayed_from_the_rebalanced_checkpoint(world: World, parent: Path, run: Path, tmp_path: Path):
    ends, layout = kept(run), Layout(root=tmp_path, recipe=world.recipe.name)
    recipe = rebalanced(world.recipe)
    assert [path.name for path in ends] == [BEGIN, step_name(8), step_name(10)]
    assert before(ends[1], layout, recipe) == ends[0]
    stretch, drawn = challenged(run, layout, recipe, "a word", None)
    assert drawn.first == PARENT + 1
    assert stretch.start in ends
    stretch = cut(ends[0], ends[1])
    with in_process():
        plan = world.plan(stretch.target, recipe=recipe, phase="phase-02", parent=stretch.start, profile=alone())
        reached = train_phase(plan, tmp_path / "again").kept[-1]
    rows = files.complete_rows(tmp_path / "again" / REPLAY)
    assert judge(stretch, rows, reached, read_state(ends[1]).determinism).verdict == "EXACT"
    with pytest.raises(StateError, match="did not begin with it, but with a re-balanced copy"):
        cut(parent, ends[1])
    with pytest.raises(StateError, match="only re-balances the end of its parent"):
        before(ends[0], layout, recipe)


@pytest.mark.slow
def test_a_run_on_two_ranks_that_is_killed_ends_as_the_undisturbed_one(world: World, parent: Path, run: Path, tmp_path: Path):
    assert disturb(world, tmp_path / "killed", 3, kill_stage, steps=LONG, parent=parent)[0] == -signal.SIGKILL
    plan = world.plan(LONG, recipe=rebalanced(world.recipe), phase="phase-02", parent=parent, profile=profile(2))
    for name in ("killed", "straight"):
        link_outcome(train_phase(plan, tmp_path / name), tmp_path / f"{name}-data")
    assert tree(tmp_path / "killed-data") == tree(tmp_path / "straight-data")
    first = tmp_path / "straight" / CHECKPOINTS / BEGIN
    assert tree(first) == tree(run / CHECKPOINTS / BEGIN), "it does not know how many ranks go on from it"


def test_a_first_phase_has_nothing_to_rebalance(world: World):
    with pytest.raises(RecipeError, match="no alpha has moved before the first step"):
        rebalanced(world.recipe, "phase-01")

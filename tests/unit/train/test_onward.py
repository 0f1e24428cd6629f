"""Going on from a checkpoint that came from elsewhere, and what is swept and allowed in a clone."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from tests.unit.train.conftest import ROOT, World, profile, small_recipe
from tests.unit.train.test_checkpoint import save
from yulan import digest, files, manifest
from yulan.cli.allow_spend import allow_spend
from yulan.cli.continue_ import continue_
from yulan.cli.gc import gc
from yulan.cli.track import track
from yulan.errors import IntegrityError, RecipeError, StateError
from yulan.layout import MANIFEST, Layout
from yulan.model.shape import parameters
from yulan.schema import load_json
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import Cursor, State, read_state
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.onward import INSIDE, RECORD, continue_from, find_checkpoint, require_fitting
from yulan.train.phase import Outcome
from yulan.train.spend import allowed
from yulan.train.sweep import sweep

RECIPE = small_recipe()


@pytest.fixture
def state(tmp_path: Path) -> State:
    return read_state(write_initial(tmp_path / "init", RECIPE))


@pytest.fixture
def pulled(tmp_path: Path, state: State) -> Path:
    """A states folder as a release has it: a checkpoint after phase-01, beside a card."""
    trained = replace(state, cursor=Cursor(phase="phase-01", windows=192), adam_step=24, tokens=6144)
    begin = read_checkpoint(tmp_path / "init" / step_name(0))

    def piece(name: str, kind: str) -> tuple[int, torch.Tensor]:
        weights = begin.tensor(name).view(-1)
        return 0, weights if kind == "weights" else torch.full_like(weights, 1e-3)

    trained = replace(trained, global_step=24, phase_step=24)
    write_checkpoint(tmp_path / "states" / INSIDE, trained, parameters(RECIPE.model), piece)
    files.write_text(tmp_path / "states" / "README.md", "card")
    return tmp_path / "states"


@pytest.fixture
def layout(tmp_path: Path, world: World) -> Layout:
    """A clone's artifacts: shards, and the mix of phase-02."""
    layout = Layout(root=tmp_path / "clone", recipe=RECIPE.name)
    for place, folder in ((layout.stage("shards"), "shards"), (layout.stage("mix", "phase-02"), "mix")):
        files.link_tree(world.folder / folder, place.data)
        manifest.seal(place, layout, stage=folder, inputs={}, keys={}, summary={})
    return layout


def go_on(folder: Path, into: Path, layout: Layout, phase: str = "phase-02", **changed: object) -> Outcome:
    told = {"steps": 2, "fresh_optimizer": False, "licences": {}, "look": lambda: None} | changed
    return continue_from(folder, into, layout, RECIPE, phase, profile(1), **told)


@pytest.mark.slow
def test_a_pulled_checkpoint_is_gone_on_from_and_the_record_says_what_may_be_claimed(
    pulled: Path, layout: Layout, tmp_path: Path
):
    outcome = go_on(pulled, tmp_path / "run", layout)
    told = load_json(tmp_path / "run" / RECORD)
    assert outcome.state.global_step == 26
    assert told["begun_from"] == manifest.read(pulled / INSIDE / MANIFEST).digest
    assert told["ended_with"] == manifest.read(outcome.kept[-1] / MANIFEST).digest
    assert (told["trajectory"], told["fresh_optimizer"], told["base"]) == ("EXACT", False, None)
    assert outcome.state.adam_step == 26


@pytest.mark.slow
def test_a_fresh_optimizer_begins_with_zero_moments_on_the_record(pulled: Path, layout: Layout, tmp_path: Path):
    parts = read_checkpoint(pulled / INSIDE)
    bare = tmp_path / "bare"

    def piece(name: str, kind: str) -> tuple[int, torch.Tensor]:
        return 0, parts.tensor(name, kind).view(-1)

    write_checkpoint(bare, parts.state, parameters(RECIPE.model), piece, moments=None)
    with pytest.raises(StateError, match="holds no optimizer states"):
        go_on(bare, tmp_path / "run", layout)
    outcome = go_on(bare, tmp_path / "run", layout, fresh_optimizer=True)
    assert (outcome.state.fresh_optimizer, outcome.state.adam_step) == (True, 2)
    assert load_json(tmp_path / "run" / RECORD)["fresh_optimizer"] is True


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path):
    with pytest.raises(StateError, match="holds no checkpoint"):
        find_checkpoint(tmp_path)


def test_a_tampered_checkpoint_is_refused_with_the_file(pulled: Path):
    (pulled / INSIDE / "extra.bin").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="is not a whole checkpoint") as raised:
        find_checkpoint(pulled)
    assert raised.value.evidence == ("extra    extra.bin",)


def test_another_model_is_refused(pulled: Path):
    folder = find_checkpoint(pulled)
    other = replace(RECIPE, model=replace(RECIPE.model, ffn_size=64))
    with pytest.raises(RecipeError, match="of another model"):
        require_fitting(folder, read_state(folder), other, "phase-02", False)


def test_a_phase_that_does_not_follow_is_refused(pulled: Path):
    folder = find_checkpoint(pulled)
    with pytest.raises(RecipeError, match="the checkpoint ends phase-01, and phase-03 comes after phase-02"):
        require_fitting(folder, read_state(folder), RECIPE, "phase-03", False)


def test_more_steps_than_the_phase_has_are_refused(pulled: Path, layout: Layout, tmp_path: Path):
    with pytest.raises(RecipeError, match="phase-02 has 48 steps, not 99"):
        go_on(pulled, tmp_path / "run", layout, steps=99)


def test_absent_data_is_refused_with_the_command_that_fetches_it(pulled: Path, tmp_path: Path):
    with pytest.raises(StateError, match="dvc pull mix@phase-02"):
        go_on(pulled, tmp_path / "run", Layout(root=tmp_path, recipe=RECIPE.name))


def test_a_run_folder_is_swept_once_its_result_is_in_an_artifact(tmp_path: Path, state: State):
    layout = Layout(root=tmp_path, recipe=RECIPE.name)
    done, going, busy = (layout.runs("phase-01", digest.of_text(name)) for name in ("done", "going", "busy"))
    for folder in (done, going, busy):
        save(folder / CHECKPOINTS, 4 if folder == going else 2, state)
    place = layout.stage("train", "phase-01")
    files.link_tree(done / CHECKPOINTS, place.data / CHECKPOINTS)
    manifest.seal(place, layout, stage="train", phase="phase-01", inputs={}, keys={}, summary={})
    files.write_text(done / "ranks.log", "12345")
    handle = files.lock(busy / "lock")
    assert sweep(layout) == [(done.relative_to(tmp_path), 5)]
    assert (done.exists(), going.exists(), busy.exists()) == (False, True, True)
    assert manifest.differences(place.data, manifest.read(place.manifest)) == []
    os.close(handle)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone without artifacts."""
    for name in ("recipes/nano", "params.yaml", "dvc.yaml"):
        path = ROOT / name
        (files.link_tree if path.is_dir() else files.link)(path, tmp_path / "clone" / name)
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


def test_allow_spend_writes_the_limit(clone: Path):
    assert CliRunner().invoke(allow_spend, ["2.5"]).output == "nano: up to 2.5 device hours are allowed\n"
    assert allowed(Layout(root=clone, recipe="nano").spend()) == 2.5


def test_gc_says_what_it_freed(clone: Path):
    assert CliRunner().invoke(gc, []).output == "0 run folders, 0 bytes freed\n"


@pytest.mark.slow
def test_track_import_says_how_many_phases_it_found(clone: Path):
    assert CliRunner().invoke(track, ["import"]).stdout == ".mlflow/mlflow.db: 0 phases\n"


def test_continue_says_what_does_not_fit(clone: Path, pulled: Path):
    done = CliRunner().invoke(continue_, [str(pulled), "--phase", "phase-02"])
    assert isinstance(done.exception, RecipeError)
    assert "of another model than recipe nano" in str(done.exception)

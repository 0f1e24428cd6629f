"""A real SQLite store. Importing mlflow and making the store take seconds, hence slow."""

import os
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.train.conftest import small_recipe
from tests.unit.train.test_checkpoint import save
from tests.unit.train.test_log import fill
from yulan import files, manifest
from yulan.layout import MANIFEST, Layout
from yulan.train import track
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import read_state
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import METRICS, REPLAY, WATCH
from yulan.train.progress import Progress, Tail
from yulan.train.track import Attempt, Store, Tracker, rebuild

RECIPE = small_recipe()
DIGEST = "ab" * 32
ATTEMPT = Attempt(recipe=RECIPE, phase="phase-01", run="cafe", inputs={"mix@phase-01": DIGEST}, commit="c0ffee")

WATCHED = {"hidden_rms/01": 2.5, "score_max/00": 7.0, "groups/bias/grad_norm": 0.5, "alphas/o_proj_alpha/00": 0.25}
"""What is entered of the look below."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with three logged steps and a checkpoint."""
    fill(tmp_path / "run", range(1, 4))
    groups = {"bias": {"grad_norm": 0.5, "weight_norm": 0.0, "update_ratio": None}}
    seen = {"step": 2, "hidden_rms": [1.0, 2.5], "middle_rms": [1.5], "score_max": [7.0], "groups": groups}
    files.append(tmp_path / "run" / WATCH, [seen | {"alphas": {"o_proj_alpha": [0.25]}}])
    state = read_state(write_initial(tmp_path / "init", RECIPE))
    save(tmp_path / "run" / CHECKPOINTS, 3, state)
    return tmp_path / "run"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, made once."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(path, RECIPE.name)
    return path


def tracked(path: Path, run: Path) -> Tracker:
    with Tracker(path, run, ATTEMPT) as tracker:
        tracker.checkpoints([run / CHECKPOINTS / step_name(3)])
    return tracker


@pytest.mark.slow
def test_an_attempt_stands_below_its_phase_and_recipe_with_all_that_it_is(made: Path, run: Path):
    tracker = tracked(made, run)
    assert tracker.warnings == []
    client = Store(made, RECIPE.name).client
    recipe, phase, attempt = (client.get_run(tracker.runs[kind]) for kind in ("recipe", "phase", "attempt"))
    assert attempt.data.tags["mlflow.parentRunId"] == phase.info.run_id
    assert phase.data.tags["mlflow.parentRunId"] == recipe.info.run_id
    assert attempt.info.status == "FINISHED"
    assert attempt.data.tags["dvc.stage"] == "train@phase-01"
    assert attempt.data.tags["git.commit"] == "c0ffee"
    assert attempt.data.tags["digest.mix@phase-01"] == DIGEST
    assert attempt.data.params["schedule.peak"] == "0.02"
    (dataset,) = attempt.inputs.dataset_inputs
    assert (dataset.dataset.digest, dataset.dataset.source) == (DIGEST[:32], f"sha256:{DIGEST}")
    assert [(m.step, m.value) for m in client.get_metric_history(attempt.info.run_id, "loss")] == [(1, 1.5), (2, 1.5), (3, 1.5)]
    seen = {name: client.get_metric_history(attempt.info.run_id, f"watch/{name}") for name in WATCHED}
    assert {name: [(m.step, m.value) for m in rows] for name, rows in seen.items()} == {k: [(2, v)] for k, v in WATCHED.items()}
    assert client.get_metric_history(attempt.info.run_id, "watch/groups/bias/update_ratio") == []
    (output,) = attempt.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    own = manifest.read(run / CHECKPOINTS / step_name(3) / MANIFEST).digest
    assert (output.step, model.tags["digest.checkpoint"]) == (3, own)
    for tags in (attempt.data.tags, phase.data.tags, recipe.data.tags, model.tags):
        assert not tags.keys() & track.PERSONAL


@pytest.mark.slow
def test_an_attempt_that_a_kill_left_running_is_marked_by_the_next_one(made: Path, run: Path):
    store = Store(made, RECIPE.name)
    left = store.open(replace(ATTEMPT, phase="phase-02"))["attempt"]
    with Tracker(made, run, replace(ATTEMPT, phase="phase-02")) as tracker:
        pass
    assert store.client.get_run(left).info.status == "KILLED"
    assert store.client.get_run(tracker.runs["attempt"]).info.run_name == "phase-02 #2"


@pytest.mark.slow
def test_a_recipe_ends_with_the_last_of_its_phases_and_runs_again_with_a_new_attempt(made: Path):
    recipe = replace(RECIPE, name="whole")
    store = Store(made, recipe.name)

    def states() -> list[str]:
        return [store.client.get_run(runs[kind]).info.status for kind in ("recipe", "phase")]

    for phase in recipe.phases:
        runs = store.open(replace(ATTEMPT, recipe=recipe, phase=phase))
        assert states() == ["RUNNING", "RUNNING"]
        store.close(recipe, runs, "FINISHED")
        assert states() == ["FINISHED" if phase == list(recipe.phases)[-1] else "RUNNING", "FINISHED"]
    runs = store.open(replace(ATTEMPT, recipe=recipe))
    store.close(recipe, runs, "FAILED")
    assert states() == ["RUNNING", "FAILED"]


@pytest.mark.slow
def test_a_failed_run_is_marked_so(made: Path, run: Path):
    tracker = Tracker(made, run, ATTEMPT)
    with pytest.raises(ZeroDivisionError), tracker:
        raise ZeroDivisionError
    assert Store(made, RECIPE.name).client.get_run(tracker.runs["attempt"]).info.status == "FAILED"


@pytest.mark.slow
def test_a_locked_store_stops_nothing_and_is_told(made: Path, run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(track, "PATIENCE", 1.0)
    with sqlite3.connect(made, isolation_level=None) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        tracker = tracked(made, run)
        assert time.monotonic() - began < 1.5
        lock.execute("ROLLBACK")
    assert tracker.warnings == ["MLflow's store did not answer; rebuild it with: yulan track import"]
    tracker.thread.join(60)


def test_a_store_that_cannot_be_is_only_a_warning(tmp_path: Path, run: Path):
    (tmp_path / "file").write_text("")
    tracker = tracked(tmp_path / "file" / "mlflow.db", run)
    assert tracker.runs == {}
    assert "rebuild its store with: yulan track import" in tracker.warnings[0]


@pytest.mark.slow
def test_the_store_is_rebuilt_from_artifacts_alone(tmp_path: Path, run: Path):
    layout = Layout(root=tmp_path, recipe=RECIPE.name)
    place = layout.stage("train", "phase-01")
    for name in (METRICS, REPLAY, WATCH):
        files.link(run / name, place.data / name)
    files.link_tree(run / CHECKPOINTS, place.data / CHECKPOINTS)
    manifest.seal(place, layout, stage="train", phase="phase-01", inputs={"mix@phase-01": DIGEST}, keys={}, summary={})
    files.write_text(layout.tracking, "no database")
    assert rebuild(layout, RECIPE) == 1
    store = Store(layout.tracking, RECIPE.name)
    (attempt,) = store.find({"yulan.kind": "attempt"})
    assert len(store.client.get_metric_history(attempt.info.run_id, "grad_norm")) == 3
    assert len(store.client.get_metric_history(attempt.info.run_id, "watch/hidden_rms/00")) == 1
    assert len(attempt.outputs.model_outputs) == 1


def test_a_tail_gives_each_whole_row_once_and_begins_again_when_the_log_is_taken_back(tmp_path: Path):
    fill(tmp_path, range(1, 4))
    tail = Tail(tmp_path / METRICS)
    with (tmp_path / METRICS).open("ab") as file:
        file.write(b'{"torn')
    assert [row["step"] for row in tail.rows()] == [1, 2, 3]
    assert list(tail.rows()) == []
    files.write_rows(tmp_path / METRICS, files.complete_rows(tmp_path / METRICS)[:2])
    assert [row["step"] for row in tail.rows()] == [1, 2]
    assert list(Tail(tmp_path / "nothing").rows()) == []
    assert list(Tail(tmp_path / METRICS, only_new=True).rows()) == []


def test_progress_says_step_loss_speed_and_what_is_left(tmp_path: Path):
    progress = Progress(tmp_path, "phase-01", 8)
    fill(tmp_path, range(1, 4))
    timing: list[dict[str, Any]] = [{"step": step, "seconds": 0.5, "tokens": 1000} for step in (1, 2, 3)]
    files.append(tmp_path / "timing.jsonl", timing)
    progress.look()
    assert progress.line() == "phase-01  step 3/8  loss 1.500  2,000 tokens/s  ETA 0:02"


def test_no_thread_keeps_a_stage_alive(made: Path):
    assert Tracker(made, made.parent, ATTEMPT).thread.daemon
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"

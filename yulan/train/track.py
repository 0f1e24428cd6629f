"""MLflow, fed from the logs by a thread at the side: recipe -> phase -> attempt runs in one SQLite file.

The logs are the truth. A store that is locked, slow or gone costs a warning, never a step; `yulan track import` rebuilds it.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from yulan import files, manifest
from yulan.layout import MANIFEST, Layout
from yulan.recipe import Recipe
from yulan.schema import plain
from yulan.train.checkpoint.state import read_state
from yulan.train.launch.job import CHECKPOINTS, training_keys
from yulan.train.log import METRICS, WATCH
from yulan.train.progress import Tail

BATCH = 250
"""Metrics a call: 40-90 ms; 1,000 take 450."""
PAUSE = 3.0
"""Seconds between looks at the log."""
PATIENCE = 20.0
"""Seconds that the end of training waits for the store."""
CURVES = ("loss", "z", "lr", "grad_norm", "tokens")

PERSONAL = {"mlflow.user", "mlflow.source.name", "mlflow.source.type"}
"""Tags that MLflow adds of itself: the user's name and a path."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try at training a phase."""

    recipe: Recipe
    phase: str
    run: str
    """Name of the run folder."""
    inputs: Mapping[str, str]
    """Content digests by artifact."""
    commit: str | None


class Store:
    """One recipe's experiment. Runs are found by tag, since each stage is its own process."""

    def __init__(self, path: Path, recipe: str) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        files.make_folder(path.parent)
        import mlflow

        uri = f"sqlite:///{path}"
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        mlflow.set_tracking_uri(uri)
        self.mlflow = mlflow
        self.client = mlflow.MlflowClient(tracking_uri=uri)
        found = self.client.get_experiment_by_name(recipe)
        self.experiment: str = (
            found.experiment_id
            if found
            else self.client.create_experiment(recipe, artifact_location=(path.parent / "artifacts").resolve().as_uri())
        )

    def find(self, tags: Mapping[str, str]) -> list[Any]:
        """Runs that have all these tags, newest first."""
        words = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return list(self.client.search_runs([self.experiment], words, order_by=["attributes.start_time DESC"]))

    def run(self, name: str, tags: Mapping[str, str], parent: str | None) -> str:
        """Id of the run with these tags, made if there is none."""
        found = self.find(tags)
        return found[0].info.run_id if found else self.create(name, tags, parent)

    def create(self, name: str, tags: Mapping[str, str], parent: str | None) -> str:
        link = {"mlflow.parentRunId": parent} if parent else {}
        run_id: str = self.client.create_run(self.experiment, tags={**tags, **link}, run_name=name).info.run_id
        return run_id

    def open(self, attempt: Attempt) -> dict[str, str]:
        """Runs of an attempt and of what it belongs to; attempts that a kill left running are marked so."""
        base = {"yulan.recipe": attempt.recipe.name}
        recipe = self.run(attempt.recipe.name, base | {"yulan.kind": "recipe"}, None)
        tags = base | {"yulan.phase": attempt.phase}
        phase = self.run(attempt.phase, tags | {"yulan.kind": "phase"}, recipe)
        for run_id in (recipe, phase):
            self.client.update_run(run_id, status="RUNNING")
        older = self.find(tags | {"yulan.kind": "attempt"})
        for run in older:
            if run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, "KILLED")
        more = {"dvc.stage": f"train@{attempt.phase}", "yulan.run": attempt.run, "git.commit": attempt.commit or "none"}
        more |= {f"digest.{name}": value for name, value in attempt.inputs.items()}
        own = self.create(f"{attempt.phase} #{len(older) + 1}", tags | more | {"yulan.kind": "attempt"}, phase)
        self._describe(attempt, own)
        return {"recipe": recipe, "phase": phase, "attempt": own}

    def _describe(self, attempt: Attempt, run_id: str) -> None:
        entities = self.mlflow.entities
        keys = attempt.recipe.keys(*training_keys(attempt.recipe, attempt.phase))
        params = [entities.Param(key, str(value)) for key, value in flat(keys)]
        self.client.log_batch(run_id, params=params)
        inputs = []
        for name, value in attempt.inputs.items():
            # A digest here may have 36 characters; the whole one is in the source and in a tag.
            dataset = entities.Dataset(name=name, digest=value[:32], source_type="dvc", source=f"sha256:{value}")
            inputs.append(entities.DatasetInput(dataset, [entities.InputTag("yulan.artifact", name)]))
        self.client.log_inputs(run_id, datasets=inputs)

    def log(self, run_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
        entities, now = self.mlflow.entities, int(time.time() * 1000)
        metrics = [
            entities.Metric(key, float(row[key]), now, row["step"]) for row in rows for key in CURVES if row[key] is not None
        ]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[start : start + BATCH])

    def look(self, run_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Enter what was seen inside the model: `watch/hidden_rms/03` is of the fourth place from the input."""
        entities, now = self.mlflow.entities, int(time.time() * 1000)
        metrics = [
            entities.Metric(f"watch/{name}", float(value), now, row["step"])
            for row in rows
            for name, value in leaves({key: value for key, value in row.items() if key != "step"})
            if value is not None
        ]
        for start in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[start : start + BATCH])

    def checkpoint(self, run_id: str, attempt: Attempt, folder: Path) -> None:
        """One model entry, without bytes: its digest says which checkpoint it is."""
        state = read_state(folder)
        tags = {"digest.checkpoint": manifest.read(folder / MANIFEST).digest, "dvc.stage": f"train@{attempt.phase}"}
        tags |= {"yulan.phase": attempt.phase, "yulan.step": str(state.global_step), "yulan.trajectory": state.trajectory}
        model = self.mlflow.create_external_model(
            name=f"{attempt.phase}-{folder.name}",
            source_run_id=run_id,
            tags=tags,
            model_type="checkpoint",
            experiment_id=self.experiment,
        )
        for added in model.tags.keys() & PERSONAL:
            self.client.delete_logged_model_tag(model.model_id, added)
        self.client.log_outputs(run_id, [self.mlflow.entities.LoggedModelOutput(model.model_id, state.global_step)])

    def close(self, recipe: Recipe, runs: Mapping[str, str], status: str) -> None:
        """End an attempt and its phase; the recipe's run ends with the last of its phases."""
        for kind in ("attempt", "phase"):
            self.client.set_terminated(runs[kind], status)
        phases = self.find({"yulan.recipe": recipe.name, "yulan.kind": "phase"})
        done = {run.data.tags["yulan.phase"] for run in phases if run.info.status == "FINISHED"}
        if done >= recipe.phases.keys():
            self.client.set_terminated(runs["recipe"], "FINISHED")


def flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings under dotted names."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Numbers of nested mappings and lists, under names like `alphas/o_proj_alpha/03`."""
    if isinstance(value, Mapping):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = [(f"{index:02}", each) for index, each in enumerate(value)]
    else:
        yield name, value
        return
    for key, each in inside:
        yield from leaves(each, f"{name}/{key}" if name else key)


class Tracker:
    """Feeds the store while ranks train. `runs` and `warnings` are whole once the block has ended."""

    def __init__(self, path: Path, folder: Path, attempt: Attempt) -> None:
        self.path, self.attempt = path, attempt
        self.tail, self.seen = Tail(folder / METRICS), Tail(folder / WATCH)
        self.runs: dict[str, str] = {}
        self.warnings: list[str] = []
        self.kept: Sequence[Path] = ()
        self.status = "FINISHED"
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._feed, name="track", daemon=True)

    def __enter__(self) -> "Tracker":
        self.thread.start()
        return self

    def checkpoints(self, kept: Sequence[Path]) -> None:
        """Checkpoints that stay, to be entered at the end."""
        self.kept = kept

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.status = "FINISHED" if kind is None else "FAILED"
        self.done.set()
        self.thread.join(PATIENCE)
        if self.thread.is_alive():
            self.warnings.append("MLflow's store did not answer; rebuild it with: yulan track import")

    def _feed(self) -> None:
        try:
            # Ranks come first on every core.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
            store = Store(self.path, self.attempt.recipe.name)
            runs = store.open(self.attempt)
            waiting = True
            while waiting:
                waiting = not self.done.wait(PAUSE)
                store.log(runs["attempt"], list(self.tail.rows()))
                store.look(runs["attempt"], list(self.seen.rows()))
            for folder in self.kept:
                store.checkpoint(runs["attempt"], self.attempt, folder)
            store.close(self.attempt.recipe, runs, self.status)
            self.runs = runs
        except Exception as error:
            # Whatever MLflow or its database raises: training does not depend on it.
            line = str(error).splitlines()[0] if str(error) else ""
            self.warnings.append(f"MLflow: {type(error).__name__} {line[:120]}; rebuild its store with: yulan track import")


def rebuild(layout: Layout, recipe: Recipe) -> int:
    """Make the store anew from the logs of the artifacts; returns the number of phases found."""
    files.remove(layout.tracking)
    store = Store(layout.tracking, recipe.name)
    count = 0
    for phase in recipe.phases:
        place = layout.stage("train", phase)
        if not (place.data / METRICS).exists() or not place.manifest.exists():
            continue
        made = manifest.read(place.manifest)
        attempt = Attempt(recipe=recipe, phase=phase, run="imported", inputs=plain(made.inputs), commit=None)
        runs = store.open(attempt)
        store.log(runs["attempt"], files.complete_rows(place.data / METRICS))
        store.look(runs["attempt"], files.complete_rows(place.data / WATCH))
        for folder in sorted((place.data / CHECKPOINTS).iterdir()):
            store.checkpoint(runs["attempt"], attempt, folder)
        store.close(recipe, runs, "FINISHED")
        count += 1
    return count

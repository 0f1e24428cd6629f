"""What a rank is told: one JSON file in the run folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from yulan import errors, files
from yulan.errors import TrainError, YulanError
from yulan.manifest import Determinism
from yulan.profile import Profile
from yulan.recipe import Phase, Recipe
from yulan.schema import load_json, plain, structure
from yulan.train.checkpoint.state import Chain, Trajectory

CHECKPOINTS = "checkpoints"
JOB, FAILURE, OUTPUT = "job.json", "failure.json", "ranks.log"
LOCK, TRAINER = "lock", "trainer.lock"
"""Held by the stage and all that it starts; held by the first rank, which under Slurm outlives the stage."""

COMMON_KEYS = ("seed", "model", "optimizer", "schedule", "watch")
"""Recipe keys that every phase depends on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One phase to train, from a checkpoint to a step."""

    recipe: Recipe
    phase: str
    profile: Profile
    folder: str
    """Run folder: checkpoints and logs."""
    mix: str
    shards: str
    order: str
    """Key of the data order."""
    parent: str
    """Checkpoint that the phase, or a replay of a part of it, begins from."""
    start: str
    """Checkpoint to go on from: the parent, or the newest of the run folder."""
    steps: int
    """Steps of the phase after which to end."""
    chain: Chain
    """Where the logs begin."""
    determinism: Determinism
    trajectory: Trajectory
    fresh_optimizer: bool
    """Leave the moments of `parent` unread: it is the checkpoint of someone who said so."""

    @property
    def section(self) -> Phase:
        return self.recipe.phase(self.phase)


def training_keys(recipe: Recipe, phase: str) -> tuple[str, ...]:
    """Dotted recipe keys that the training of a phase depends on; its decay may be declared by a phase before it."""
    declared = [f"phases.{p}.anneal" for p in recipe.path(phase)[:-1] if recipe.phase(p).anneal is not None]
    return (*COMMON_KEYS, f"phases.{phase}", *declared)


def write_job(job: Job) -> Path:
    return files.write_json(Path(job.folder) / JOB, plain(job))


def read_job(path: Path) -> Job:
    return structure(load_json(path), Job)


def environment(job: Job) -> dict[str, str]:
    """What each rank is started with."""
    own = {
        "OMP_NUM_THREADS": str(job.profile.threads),
        "MKL_NUM_THREADS": str(job.profile.threads),
        "DS_ACCELERATOR": job.profile.device,
        # The package may be run from a clone without being installed.
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    if job.profile.device == "cuda":
        # Otherwise cuBLAS takes scratch memory by stream, and sums in an order that depends on it.
        own["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    return os.environ | own


def failure(folder: Path, how: str) -> YulanError:
    """What a rank said before it ended; else how it ended, with the end of the output."""
    if (folder / FAILURE).exists():
        told = load_json(folder / FAILURE)
        kind: type[YulanError] = getattr(errors, told["kind"], TrainError)
        return kind(told["what"], where=told["where"], cure=told["cure"], evidence=told["evidence"])
    output = folder / OUTPUT
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines() if output.exists() else []
    cure = "To go on from the last checkpoint, run the same command again"
    return TrainError(f"a training process ended with {how}", where=output, cure=cure, evidence=lines[-8:])

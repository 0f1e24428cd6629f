"""One phase from its parent's checkpoint to its end, whatever happened before: the same call begins, resumes or only links."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from yulan import digest, files, manifest
from yulan.data.order import order_key
from yulan.errors import StateError, TrainError
from yulan.layout import MANIFEST
from yulan.manifest import Determinism
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.schema import plain
from yulan.train.able import require_able
from yulan.train.checkpoint.rebalance import begin_rebalanced, made_from
from yulan.train.checkpoint.scan import KEPT, differences, discard, newest, prune, require_whole, step_name, steps_in, sweep
from yulan.train.checkpoint.state import NOTHING, Cursor, State, Trajectory, read_state
from yulan.train.determinism import class_after, determinism_of, words
from yulan.train.launch import local, slurm
from yulan.train.launch.job import CHECKPOINTS, JOB, LOCK, TRAINER, Job, read_job, training_keys
from yulan.train.log import METRICS, REPLAY, WATCH


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to train, with what, from where."""

    recipe: Recipe
    phase: str
    profile: Profile
    mix: Path
    """Folder of the pack index."""
    mix_digest: str
    """Content digest of the mix; with the seed it is the key of the data order."""
    shards: Path
    parent: Path
    """Checkpoint to begin from."""
    steps: int
    """Of the phase, to train."""
    fresh_optimizer: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A finished phase in its run folder."""

    folder: Path
    kept: tuple[Path, ...]
    """Checkpoints that stay, oldest first: the re-balanced one that the phase began with, if it did so, then the schedule's."""
    state: State
    warnings: tuple[str, ...]


def run_digest(recipe: Recipe, phase: str, mix_digest: str, parent_digest: str) -> str:
    """Name of a run folder: a changed key, mix or parent can never resume a stranger."""
    keys = recipe.keys(*training_keys(recipe, phase))
    return digest.of_json({"keys": keys, "mix": mix_digest, "parent": parent_digest})


def train_phase(plan: Plan, folder: Path, look: Callable[[], None] = lambda: None) -> Outcome:
    """Train in `folder`, going on from its newest whole checkpoint if there is one.

    `look` is called again and again while the ranks train.

    Raises: StateError: another trainer is in the folder; IntegrityError: a checkpoint or log is damaged; TrainError.
    """
    require_able(plan.profile, plan.recipe.phase(plan.phase))
    lock = files.lock(folder / LOCK)
    try:
        return _train(plan, folder, lock, look)
    finally:
        os.close(lock)


def _train(plan: Plan, folder: Path, lock: int, look: Callable[[], None]) -> Outcome:
    checkpoints = folder / CHECKPOINTS
    found, damaged = newest(checkpoints)
    warnings = [f"damaged checkpoint passed over: {row}" for row in damaged]
    if found is None:
        require_whole(plan.parent)
    begin = read_state(plan.parent)
    state = read_state(found or plan.parent)
    rebalanced = plan.recipe.phase(plan.phase).rebalance and begin.cursor.phase != plan.phase
    determinism = determinism_of(plan.profile)
    # Under Slurm another machine trains; the job judges its own class as it starts.
    here = plan.profile.launcher != "slurm"
    if here and state.determinism is not None and state.determinism != determinism:
        told = f"step {state.global_step} was trained under {words(state.determinism)}, now {words(determinism)}"
        warnings.append(f"{told}: from here on CLOSE, not EXACT")
    if here:
        # A Slurm job of this folder may go on with nobody waiting for it. This is asked before its job file is overwritten.
        os.close(files.lock(folder / TRAINER))
    for warning in warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    job = None
    if found is None or state.phase_step < plan.steps:
        first = checkpoints / step_name(begin.global_step) if rebalanced else plan.parent
        job = _job(plan, folder, found or first, first, begin, determinism, class_after(state, determinism))
        _require_same(folder, job)
    if rebalanced:
        _begin(plan, begin, checkpoints / step_name(begin.global_step))
    if job is not None:
        launch = slurm.launch if plan.profile.launcher == "slurm" else local.launch
        launch(job, lock, look)
    return _outcome(plan, checkpoints, begin, rebalanced, tuple(warnings))


def _begin(plan: Plan, parent: State, first: Path) -> None:
    """Write the phase's first checkpoint: the parent's end, re-balanced, no step taken. One that lies there whole stays.

    Raises: StateError: it was made from another parent; IntegrityError: the parent is not whole; ResourceError: no space.
    """
    if (first / MANIFEST).exists() and made_from(first) != manifest.read(plan.parent / MANIFEST).digest:
        raise StateError(
            "re-balances another checkpoint than the one named",
            where=first,
            cure="Choose another folder, or name the parent that it began from",
        )
    if not differences(first):
        return
    discard(first)
    state = replace(
        parent,
        recipe=plan.recipe.name,
        keys=plan.recipe.keys(*training_keys(plan.recipe, plan.phase)),
        phase_step=0,
        cursor=Cursor(phase=plan.phase, windows=0),
        watched=NOTHING,
    )
    begin_rebalanced(plan.parent, first, replace(state, adam_step=0, fresh_optimizer=True) if plan.fresh_optimizer else state)


def _require_same(folder: Path, job: Job) -> None:
    """Raises: StateError: the folder holds a run of another recipe, phase, parent or data."""
    if not (folder / JOB).exists():
        return
    before = read_job(folder / JOB)
    keys = [plain(each.recipe.keys(*training_keys(each.recipe, each.phase))) for each in (before, job)]
    changed = sorted(key for key in keys[0].keys() | keys[1].keys() if keys[0].get(key) != keys[1].get(key))
    parts = {"phase": "phase", "mix": "order", "parent": "chain"}
    changed += [name for name, field in parts.items() if getattr(before, field) != getattr(job, field)]
    if changed:
        raise StateError(
            f"holds another run; changed: {', '.join(changed)}", where=folder, cure="Choose another folder, or undo the change"
        )


def _job(
    plan: Plan, folder: Path, start: Path, parent: Path, begin: State, determinism: Determinism, trajectory: Trajectory
) -> Job:
    return Job(
        recipe=plan.recipe,
        phase=plan.phase,
        profile=plan.profile,
        folder=str(folder),
        mix=str(plan.mix),
        shards=str(plan.shards),
        order=order_key(plan.mix_digest, plan.recipe.seed),
        parent=str(parent),
        start=str(start),
        steps=plan.steps,
        chain=begin.chain,
        determinism=determinism,
        trajectory=trajectory,
        fresh_optimizer=plan.fresh_optimizer,
    )


def _outcome(plan: Plan, checkpoints: Path, parent: State, rebalanced: bool, warnings: tuple[str, ...]) -> Outcome:
    """Raises: TrainError: the ranks ended before the last step; IntegrityError: a checkpoint that stays is damaged."""
    schedule = plan.recipe.phase(plan.phase).checkpoints
    begin = parent.global_step - (parent.phase_step if parent.cursor.phase == plan.phase else 0)
    end = begin + plan.steps
    steps = [s for s in steps_in(checkpoints) if s == end or (begin < s < end and (s - begin) % schedule.every == 0)]
    if not steps or steps[-1] != end:
        raise TrainError("training ended before its last step", where=checkpoints, cure="To go on, run the same command again")
    kept = tuple(checkpoints / step_name(step) for step in [*([begin] if rebalanced else []), *steps[-schedule.keep :]])
    for each in kept:
        require_whole(each)
    sweep(checkpoints)
    prune(checkpoints, end, schedule.keep, schedule.every, begin, KEPT if plan.recipe.watch.rollbacks else 0)
    return Outcome(folder=checkpoints.parent, kept=kept, state=read_state(kept[-1]), warnings=warnings)


def link_outcome(outcome: Outcome, data: Path) -> None:
    """Make `data` hold second names of the kept checkpoints and the logs, nothing else; the run folder stays as it is."""
    files.remove(data)
    for each in outcome.kept:
        files.link_tree(each, data / CHECKPOINTS / each.name)
    for name in (METRICS, REPLAY, WATCH):
        files.link(outcome.folder / name, data / name)

"""What is replayed: a stretch between two published checkpoints, and the log rows that they commit to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import digest, files
from yulan.errors import IntegrityError, RecipeError, StateError
from yulan.layout import DATA, Layout
from yulan.recipe import Recipe
from yulan.schema import check, plain
from yulan.train.checkpoint.scan import require_whole, step_name, steps_in
from yulan.train.checkpoint.state import STATE, State, begins, read_state
from yulan.train.launch.job import CHECKPOINTS, training_keys
from yulan.train.log import REPLAY, require_chain

INSIDE = "checkpoint"
"""Where a published states folder keeps the checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Steps of one phase from a checkpoint on, as published."""

    phase: str
    start: Path
    """Checkpoint to train from."""
    end: Path
    """The next one published."""
    rows: tuple[Mapping[str, Any], ...]
    """Of replay.jsonl, one for each step between the two."""
    steps: int
    """To train again, from `start` on."""

    @property
    def target(self) -> int:
        """Step of the phase after which training ends."""
        first = read_state(self.start)
        return (first.phase_step if first.cursor.phase == self.phase else 0) + self.steps

    @property
    def whole(self) -> bool:
        """Whether it ends where `end` does, so that states can be compared."""
        return self.steps == len(self.rows)


def kept(folder: Path) -> tuple[Path, ...]:
    """Checkpoints in what someone names, oldest first: a checkpoint, a states folder, a run folder or an artifact.

    Raises: StateError: there is none.
    """
    for place in (folder, folder / INSIDE):
        if (place / STATE).is_file():
            return (place,)
    for place in (folder / CHECKPOINTS, folder / DATA / CHECKPOINTS):
        if steps := steps_in(place):
            return tuple(place / step_name(step) for step in steps)
    raise StateError("no checkpoint to replay", where=folder, cure="Name a checkpoint, a run folder or a pulled states folder")


def before(checkpoint: Path, layout: Layout, recipe: Recipe) -> Path:
    """The checkpoint before: kept beside it, or in the clone the last one of the parent phase.

    Raises: StateError: it is not there.
    """
    state = read_state(checkpoint)
    phase, beside = state.cursor.phase, checkpoint.parent
    if phase is None:
        raise StateError("no step was trained before it", where=checkpoint, cure="Name a later checkpoint")
    if begins(state):
        raise StateError(
            "only re-balances the end of its parent: no step of its phase is trained",
            where=checkpoint,
            cure="Name a later checkpoint, or hold it to its parent: yulan checkpoint rebalance PARENT --into CHECKPOINT --check",
        )
    for step in reversed(steps_in(beside)):
        if step < state.global_step and read_state(beside / step_name(step)).cursor.phase == phase:
            return beside / step_name(step)
    after, rebalanced = recipe.phase(phase).after, recipe.phase(phase).rebalance
    home = layout.stage("train", phase) if rebalanced else layout.parent(after)
    found = home.data / CHECKPOINTS / step_name(state.global_step - state.phase_step)
    if not (found / STATE).is_file():
        target = f"train@{phase}" if rebalanced else after if after == "init" else f"train@{after}"
        raise StateError(
            "the checkpoint before it is not there", where=found, cure=f"Fetch it with: dvc pull {target}; or name it: --from"
        )
    return found


def cut(start: Path, end: Path, steps: int | None = None) -> Segment:
    """The stretch from `start` to `end`, or its first `steps`; every byte of both and every row between is checked.

    Raises: IntegrityError: a checkpoint is damaged, or the log does not lead from one to the other; StateError: they do not
    belong to one phase in this order.
    """
    for each in (start, end):
        require_whole(each)
    first, last = read_state(start), read_state(end)
    gap, phase = last.global_step - first.global_step, last.cursor.phase
    begun = first.phase_step if first.cursor.phase == phase else 0
    if phase is None or gap < 1 or last.phase_step - begun != gap:
        raise StateError(
            f"does not come before step {last.global_step} of {phase}",
            where=start,
            cure="Name a checkpoint of the same phase, or the last one of the phase before it: --from",
        )
    if steps is not None and not 0 < steps <= gap:
        raise StateError(f"{gap} steps lie between, not {steps}", where=start, cure="Ask for fewer: --steps")
    if first.cursor.phase != phase and _rebalanced(last):
        raise StateError(
            f"{phase} did not begin with it, but with a re-balanced copy",
            where=start,
            cure="Name the phase's own first checkpoint, of the same step: --from",
        )
    rows = rows_between(log_of(end), first, last)
    return Segment(phase=phase, start=start, end=end, rows=rows, steps=gap if steps is None else steps)


def _rebalanced(state: State) -> bool:
    """Whether the phase of a checkpoint began re-balanced, by its own keys."""
    return bool(state.keys.get(f"phases.{state.cursor.phase}", {}).get("rebalance"))


def log_of(checkpoint: Path) -> Path:
    """The replay log that was published with a checkpoint.

    Raises: StateError: none lies beside it.
    """
    for folder in (checkpoint.parent, checkpoint.parent.parent):
        if (folder / REPLAY).is_file():
            return folder / REPLAY
    raise StateError(
        "no replay.jsonl lies beside it", where=checkpoint, cure="Name a checkpoint in its run, artifact or states folder"
    )


def rows_between(log: Path, first: State, last: State) -> tuple[Mapping[str, Any], ...]:
    """Rows of the steps after `first` up to `last`.

    Raises: IntegrityError: the chain does not lead from one to the other, row by row.
    """
    try:
        rows = files.complete_rows(log)
    except (ValueError, RecursionError):
        raise IntegrityError("a row of the log is not JSON", where=log, cure="Fetch the log again") from None
    for number, row in enumerate(rows, 1):
        check(row, "replay", f"{log}:{number}", IntegrityError)
    begin, end = first.global_step, last.global_step
    rows = [row for row in rows if begin < row["step"] <= end]
    if [row["step"] for row in rows] != list(range(begin + 1, end + 1)):
        raise IntegrityError(f"steps {begin + 1} to {end} do not stand there one by one", where=log, cure="Fetch the log again")
    told = {key: value for key, value in rows[0].items() if key != "chain"}
    if digest.chained(first.chain.replay, told) != rows[0]["chain"]:
        raise IntegrityError(
            f"does not go on from the checkpoint of step {begin}", where=log, cure="Name the checkpoint it goes on from: --from"
        )
    if require_chain(log, rows, first.chain.replay) != last.chain.replay:
        raise IntegrityError(f"is not the log that the checkpoint of step {end} commits to", where=log, cure="Fetch both again")
    return tuple(rows)


def require_keys(state: State, recipe: Recipe, phase: str, where: Path) -> None:
    """Raises: RecipeError: the checkpoint claims another training than the recipe's, each key named."""
    told, own = dict(state.keys), plain(recipe.keys(*training_keys(recipe, phase)))
    if changed := sorted(key for key in told.keys() | own.keys() if told.get(key) != own.get(key)):
        raise RecipeError(
            f"claims other keys than recipe {recipe.name}: {', '.join(changed)}",
            where=where,
            cure="Check out the recipe that it was trained by",
            evidence=[f"{key}: {json.dumps(told.get(key))[:200]}" for key in changed],
        )

"""Find checkpoints by looking. There is no pointer that could be empty, dangling or stale."""

import re
from pathlib import Path

from yulan import files, manifest
from yulan.errors import IntegrityError, YulanError
from yulan.layout import MANIFEST
from yulan.manifest import Manifest
from yulan.train.checkpoint.state import State, identity, read_state

BUT = frozenset({MANIFEST})
KEPT = 2
"""Newest checkpoints of the schedule that training may go back to."""


def step_name(step: int) -> str:
    return f"step-{step:06d}"


def steps_in(checkpoints: Path) -> list[int]:
    """Global steps of the folders that have a manifest, rising."""
    return [step for step in _named(checkpoints) if (checkpoints / step_name(step) / MANIFEST).exists()]


def _named(checkpoints: Path) -> list[int]:
    """Global steps of the folders that bear a checkpoint's name, which only a whole one is given, rising."""
    found = [path for path in checkpoints.glob("step-*") if re.fullmatch(r"step-\d{6,}", path.name) and path.is_dir()]
    steps = [int(path.name.removeprefix("step-")) for path in found]
    return sorted(step for step, path in zip(steps, found, strict=True) if path.name == step_name(step))


def differences(folder: Path) -> list[str]:
    """Rows like `changed  state.json`; none if the checkpoint is whole."""
    if not (folder / MANIFEST).exists():
        return [f"missing  {MANIFEST}"]
    try:
        told = manifest.read(folder / MANIFEST)
        return manifest.differences(folder, told, but=BUT) or contradictions(told, read_state(folder))
    except YulanError as error:
        return [error.what]


def contradictions(told: Manifest, state: State) -> list[str]:
    """A manifest covers every other file and nothing covers it: what it repeats of state.json must be so."""
    said = {name: getattr(told, name) for name in identity(state)}
    said["summary"] = {name: value for name, value in told.summary.items() if name in identity(state)["summary"]}
    return [] if said == identity(state) else [f"changed  {MANIFEST}"]


def require_whole(folder: Path) -> None:
    """Raises: IntegrityError: the folder is not as its manifest says, each file named."""
    if rows := differences(folder):
        raise not_whole(folder, rows)


def not_whole(folder: Path, rows: list[str]) -> IntegrityError:
    """`rows`: what differs."""
    return IntegrityError("is not a whole checkpoint", where=folder, cure="Fetch it again, or use another one", evidence=rows)


def newest(checkpoints: Path) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint below a folder, and a row for each newer one that is damaged.

    Raises: IntegrityError: there are checkpoints and none is whole: nothing starts again from the beginning unasked.
    """
    damaged: list[str] = []
    for step in reversed(_named(checkpoints)):
        folder = checkpoints / step_name(step)
        rows = differences(folder)
        if not rows:
            return folder, damaged
        damaged += [f"{folder.name}: {row}" for row in rows]
    if damaged:
        raise IntegrityError(
            "no checkpoint is whole", where=checkpoints, cure="To begin the phase again, remove this folder", evidence=damaged
        )
    return None, damaged


def sweep(checkpoints: Path) -> None:
    """Remove what a killed save or a killed removal left, before a run that has found its checkpoint saves again."""
    for path in checkpoints.glob(f"step-*{files.PARTIAL}"):
        files.remove(path)
    whole = steps_in(checkpoints)
    for step in _named(checkpoints):
        if whole and step < whole[-1] and step not in whole:
            files.remove(checkpoints / step_name(step))


def discard(folder: Path) -> None:
    """Remove a checkpoint, its manifest first: half removed it is an unfinished folder, not a damaged checkpoint."""
    files.remove(folder / MANIFEST)
    files.remove(folder)


def prune(checkpoints: Path, newest: int, keep: int, every: int, begin: int, back: int) -> None:
    """Remove what `write.retain` does not keep. Also after a run's end: a kill may come between its last save and this.

    A checkpoint of `begin` itself, where the phase begins re-balanced, always stays.
    """
    steps = [step for step in steps_in(checkpoints) if begin < step <= newest]
    scheduled = [step for step in steps if step == newest or (step - begin) % every == 0]
    planned = [step for step in steps if (step - begin) % every == 0]
    for step in set(steps) - set(scheduled[-keep:]) - set(planned[len(planned) - back :]):
        discard(checkpoints / step_name(step))

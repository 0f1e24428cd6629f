"""Find checkpoints by looking. There is no pointer that could be empty, dangling or stale."""

import re
from pathlib import Path

from yulan import manifest
from yulan.errors import IntegrityError, YulanError
from yulan.layout import MANIFEST

BUT = frozenset({MANIFEST})


def step_name(step: int) -> str:
    return f"step-{step:06d}"


def steps_in(checkpoints: Path) -> list[int]:
    """Global steps of the folders that have a manifest, rising."""
    found = [re.fullmatch(r"step-(\d{6,})", path.parent.name) for path in checkpoints.glob(f"*/{MANIFEST}")]
    return sorted(int(match[1]) for match in found if match)


def differences(folder: Path) -> list[str]:
    """Rows like `changed  state.json`; none if the checkpoint is whole."""
    try:
        told = manifest.read(folder / MANIFEST)
        return manifest.differences(folder, told, but=BUT)
    except YulanError as error:
        return [error.what]


def require_whole(folder: Path) -> None:
    """Raises: IntegrityError: the folder is not as its manifest says, each file named."""
    if rows := differences(folder):
        raise IntegrityError("is not a whole checkpoint", where=folder, cure="Fetch it again, or use another one", evidence=rows)


def newest(checkpoints: Path) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint below a folder, and a row for each newer one that is damaged.

    Raises: IntegrityError: there are checkpoints and none is whole: nothing starts again from the beginning unasked.
    """
    damaged: list[str] = []
    for step in reversed(steps_in(checkpoints)):
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

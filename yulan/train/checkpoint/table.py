"""Checkpoints of a folder as rows, each with what its manifest says and whether its bytes still say so. Without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yulan import manifest
from yulan.errors import IntegrityError, StateError, YulanError
from yulan.layout import MANIFEST
from yulan.train.checkpoint.scan import differences
from yulan.train.checkpoint.state import STATE


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One checkpoint folder. What its manifest cannot say, since it is damaged or not there, is null."""

    folder: str
    """Relative to the folder that was asked about."""
    name: str | None
    """Recipe and phase."""
    global_step: int | None
    tokens: int | None
    """Trained on along the path."""
    size: int
    """Bytes that lie there."""
    trajectory: str | None
    digest: str | None
    """Content digest: the checkpoint's identity."""
    damage: tuple[str, ...]
    """Rows like `changed  state.json`; none if it is whole."""


def kept_in(folder: Path) -> list[Kept]:
    """Every checkpoint in or below a folder, oldest step first; each byte is read.

    Raises: StateError: there is none.
    """
    places = [folder] if (folder / STATE).is_file() else sorted(p for p in folder.rglob("step-*") if p.is_dir())
    if not places:
        raise StateError("no checkpoint lies in or below it", where=folder, cure="Name a folder that holds step-NNNNNN folders")
    rows = [_row(place, folder) for place in places]
    return sorted(rows, key=lambda row: (row.folder.rpartition("/")[0], row.global_step or 0))


def _row(place: Path, folder: Path) -> Kept:
    name = place.relative_to(folder).as_posix() if place != folder else place.name
    size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file() and not path.is_symlink())
    damage = tuple(differences(place))
    try:
        told = manifest.read(place / MANIFEST)
    except YulanError:
        return Kept(folder=name, name=None, global_step=None, tokens=None, size=size, trajectory=None, digest=None, damage=damage)
    return Kept(
        folder=name,
        name=told.name,
        global_step=told.summary.get("global_step"),
        tokens=told.summary.get("tokens"),
        size=size,
        trajectory=told.summary.get("trajectory"),
        digest=told.digest,
        damage=damage,
    )


def require_all_whole(rows: Sequence[Kept], folder: Path) -> None:
    """Raises: IntegrityError: a checkpoint is damaged; each file of each is named."""
    damaged = [f"{row.folder}: {each}" for row in rows for each in row.damage]
    if damaged:
        bad = sum(bool(row.damage) for row in rows)
        raise IntegrityError(
            f"{bad} of {len(rows)} checkpoints are damaged",
            where=folder,
            cure="Fetch them again; training passes over them by itself",
            evidence=damaged,
        )

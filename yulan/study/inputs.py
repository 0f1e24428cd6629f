"""The clone's artifacts that a study reads, verified before it begins."""

from pathlib import Path

from yulan import manifest
from yulan.errors import StateError
from yulan.layout import Layout
from yulan.train.checkpoint.scan import step_name, steps_in
from yulan.train.launch.job import CHECKPOINTS


def open_artifact(layout: Layout, name: str, phase: str | None = None) -> tuple[Path, str]:
    """Data folder and content digest of an artifact.

    Raises: StateError: it is not built; IntegrityError: a byte differs from its manifest.
    """
    place = layout.stage(name, phase)
    if not place.manifest.exists() or not place.data.exists():
        target = f"{name}@{phase}" if phase else name
        raise StateError(
            "a study reads this artifact, and it is not there",
            where=place.folder.relative_to(layout.root),
            cure=f"Build it with: make repro, or fetch it with: dvc pull {target}",
        )
    return place.data, manifest.require_whole(place).digest


def last_checkpoint(trained: Path) -> Path:
    """The newest checkpoint in the data of a training.

    Raises: StateError: there is none.
    """
    steps = steps_in(trained / CHECKPOINTS)
    if not steps:
        raise StateError(
            "a study begins from a checkpoint, and none is here", where=trained, cure="Restore it with: dvc checkout"
        )
    return trained / CHECKPOINTS / step_name(steps[-1])

"""The clone's artifacts that a study reads, verified before it begins."""

from pathlib import Path

from yulan import manifest
from yulan.errors import StateError
from yulan.layout import Layout


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

"""An index with what pins it, and the proof of an answer that another can check alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import digest, manifest
from yulan.data.index.header import HEADER
from yulan.data.index.read import Answer, Index
from yulan.errors import IntegrityError, StateError
from yulan.layout import MANIFEST, Place
from yulan.manifest import Manifest
from yulan.schema import plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """An index and the manifest that pins it."""

    index: Index
    manifest: Manifest
    """Of the stage, or of a release's data repository."""


def published(folder: Path) -> Published:
    """The index in an artifact folder or in a pulled data repository.

    Raises: StateError: there is none; IntegrityError: index.json is not the one that the manifest lists.
    """
    if not (folder / MANIFEST).is_file():
        cure = "Build it with: dvc repro index, fetch it with: dvc pull index, or name a pulled data repository with --in"
        raise StateError("there is no index of what was trained on", where=folder, cure=cure)
    inside = folder / "index"
    data = inside if (inside / HEADER).is_file() else Place(folder=folder).data
    found = manifest.read(folder / MANIFEST)
    name = f"index/{HEADER}" if data == inside else HEADER
    told = {file.path: file.sha256 for file in found.files}
    path = data / HEADER
    if not path.is_file() or told.get(name) != digest.of_file(path):
        cure = "Restore it with: dvc checkout, or pull the release again"
        raise IntegrityError(f"{HEADER} is not the one of its manifest", where=folder, cure=cure)
    return Published(index=Index(data), manifest=found)


def proof(answer: Answer, source: Published) -> dict[str, Any]:
    """All that docs/formats/check_index.py needs."""
    leaves = (answer.leaf,) if answer.leaf is not None else answer.neighbours
    return {
        "format": 1,
        "asked": answer.asked,
        "found": answer.leaf is not None,
        "leaves": [plain(leaf) for leaf in leaves],
        "index": (source.index.folder / HEADER).read_text(encoding="utf-8"),
        "manifest": plain(source.manifest),
    }

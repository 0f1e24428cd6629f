"""Run folders that are no longer needed."""

import os
from contextlib import ExitStack
from pathlib import Path

from yulan import digest, files, manifest
from yulan.data.synthesize.ledger import ROWS, SEALED
from yulan.errors import StateError
from yulan.layout import MANIFEST, Layout
from yulan.schema import load_json
from yulan.train.checkpoint.scan import step_name, steps_in
from yulan.train.launch.job import CHECKPOINTS, LOCK, TRAINER


def sweep(layout: Layout) -> list[tuple[Path, int]]:
    """Remove each run folder whose last checkpoint is listed in its phase's artifact, and each ledger of answers that an
    artifact was sealed from, unless somebody works there.

    Returns: folder, relative to the clone, and bytes that no other name keeps.
    """
    swept = []
    for folder in sorted(layout.runs("*", "*").parent.parent.glob("*/*/")):
        if not (_is_sealed(folder, layout) if (folder / ROWS).exists() else _is_linked(folder, layout)):
            continue
        with ExitStack() as held:
            try:
                for name in (LOCK, TRAINER):
                    held.callback(os.close, files.lock(folder / name))
            except StateError:
                continue
            freed = sum(info.st_size for path in folder.rglob("*") if path.is_file() and (info := path.stat()).st_nlink == 1)
            files.remove(folder)
        swept.append((folder.relative_to(layout.root), freed))
    return swept


def _is_sealed(folder: Path, layout: Layout) -> bool:
    """Answers cost time or money: they go only when the very artifact made of them is there."""
    place = layout.stage("synthesize")
    if not (folder / SEALED).exists() or not place.manifest.exists():
        return False
    return bool(load_json(folder / SEALED)["content"] == manifest.read(place.manifest).digest)


def _is_linked(folder: Path, layout: Layout) -> bool:
    place = layout.stage("train", folder.parent.name)
    steps = steps_in(folder / CHECKPOINTS)
    if not steps or not place.manifest.exists():
        return False
    last = f"{CHECKPOINTS}/{step_name(steps[-1])}/{MANIFEST}"
    own = digest.of_file(folder / last)
    return any(file.path == last and file.sha256 == own for file in manifest.read(place.manifest).files)

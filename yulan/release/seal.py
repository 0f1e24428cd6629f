"""Write the two lists of a released folder, last of all its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yulan import manifest
from yulan.layout import MANIFEST
from yulan.manifest import FORMAT, Manifest
from yulan.release.folder import CARD, CARD_FILES, RELEASE

OWN = frozenset({MANIFEST, CARD})


def seal(folder: Path, *, name: str, inputs: Mapping[str, str], keys: Mapping[str, Any], summary: Mapping[str, Any]) -> Manifest:
    """List the content, then the card; returns the content's list, whose digest is the revision's identity."""
    files = manifest.survey(folder, but=OWN)
    content = Manifest(
        format=FORMAT,
        stage=RELEASE,
        name=name,
        files=tuple(file for file in files if file.path not in CARD_FILES),
        inputs=dict(inputs),
        keys=dict(keys),
        summary=dict(summary),
        determinism=None,
    )
    card = Manifest(
        format=FORMAT,
        stage="card",
        name=name,
        files=tuple(file for file in files if file.path in CARD_FILES),
        inputs={"release": content.digest},
        keys={},
        summary={},
        determinism=None,
    )
    manifest.write(folder / CARD, card)
    manifest.write(folder / MANIFEST, content)
    return content

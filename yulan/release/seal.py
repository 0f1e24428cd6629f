"""Write the two lists of a released folder, last of all its files."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from yulan import manifest
from yulan.layout import MANIFEST
from yulan.manifest import FORMAT, File, Manifest
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
    manifest.write(folder / CARD, _card(content, [file for file in files if file.path in CARD_FILES]))
    manifest.write(folder / MANIFEST, content)
    return content


def reseal_card(folder: Path) -> None:
    """List the card anew, after one of its files changed; the content's identity stays."""
    content = manifest.read(folder / MANIFEST)
    found = manifest.survey(folder, but=OWN)
    manifest.write(folder / CARD, _card(content, [file for file in found if file.path in CARD_FILES]))


def list_card(old: Path, changed: Mapping[str, File], into: Path) -> Path:
    """The list of a card some of whose files are others now."""
    before = manifest.read(old)
    manifest.write(into, replace(before, files=tuple(changed.get(file.path, file) for file in before.files)))
    return into


def _card(content: Manifest, listed: Sequence[File]) -> Manifest:
    return Manifest(
        format=FORMAT,
        stage="card",
        name=content.name,
        files=tuple(listed),
        inputs={"release": content.digest},
        keys={},
        summary={},
        determinism=None,
    )

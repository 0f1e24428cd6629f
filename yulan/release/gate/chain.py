"""The rule about where everything came from."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from yulan import manifest
from yulan.manifest import Manifest
from yulan.release.gate.bundle import Bundle
from yulan.release.names import MAIN, PARTS

LINEAGE = "lineage"
ROOTS = frozenset({"sources", "init"})
"""Stages that are made from the recipe and its pinned packages alone."""


def lineage_complete(bundle: Bundle) -> Iterator[str]:
    """Each input of a revision or stage is, by digest, a revision or a manifest in lineage/, down to the pinned sources."""
    made = _manifests(bundle.path / "states" / MAIN / LINEAGE)
    for target, content in made.items():
        yield from _broken(target, content.inputs, made)
        if not content.inputs and content.stage not in ROOTS and content.files:
            yield f"{target} does not say what it was made from"
    for phase in bundle.book.recipe.phases:
        yield from (f"no {stage}@{phase} in {LINEAGE}/" for stage in ("mix", "train") if f"{stage}@{phase}" not in made)
    for folder in bundle.folders:
        inputs = {name: digest for name, digest in folder.content.inputs.items() if name.partition("/")[0] not in PARTS}
        yield from _broken(str(folder), inputs, made)
        if not folder.content.inputs:
            yield f"{folder} does not say what it was made from"
    for target, content in _manifests(bundle.data / LINEAGE).items():
        if target not in made or made[target].digest != content.digest:
            yield f"data/{MAIN} has another manifest of {target}"


def _broken(who: str, inputs: Mapping[str, str], made: Mapping[str, Manifest]) -> Iterator[str]:
    for name, digest in inputs.items():
        if name not in made:
            yield f"{who} was made from {name}, whose manifest is not in {LINEAGE}/"
        elif made[name].digest != digest:
            yield f"{who} was made from another {name}"


def _manifests(folder: Path) -> dict[str, Manifest]:
    """Manifests by what other ones call them: `train@phase-01`."""
    paths = sorted(folder.rglob("*.json"))
    return {"@".join(path.relative_to(folder).with_suffix("").parts): manifest.read(path) for path in paths}

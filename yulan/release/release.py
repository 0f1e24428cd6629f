"""release.json at a bundle's root: which folders become which revisions of which repositories."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan import digest, files, manifest
from yulan.errors import DataError, IntegrityError
from yulan.layout import MANIFEST
from yulan.manifest import File
from yulan.release.folder import RECORDS, expected, lists
from yulan.release.names import PARTS, Part
from yulan.schema import check, plain, read_json

RELEASE_FILE = "release.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Half:
    """One of the three repositories."""

    revisions: Mapping[str, str]
    """Branch -> content digest of its folder."""
    tags: Mapping[str, str]
    """Tag -> branch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    format: int
    name: str
    """OWNER/NAME of the model repository."""
    recipe: str
    data: Half
    states: Half
    model: Half

    def part(self, part: Part) -> Half:
        return {"data": self.data, "states": self.states, "model": self.model}[part]


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One branch to be: its files, where they lie, and what they are."""

    part: Part
    name: str
    digest: str
    files: Mapping[str, File]
    paths: Mapping[str, Path]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.size for file in self.files.values())


def write_release(folder: Path, release: Release) -> None:
    raw = plain(release)
    check(raw, "release", folder / RELEASE_FILE, DataError)
    files.write_json(folder / RELEASE_FILE, raw)


def read_release(folder: Path) -> Release:
    """Raises: DataError: no release.json, or it breaks its schema."""
    return read_json(folder / RELEASE_FILE, "release", Release)


def revisions(bundle: Path, release: Release, part: Part, records: Path | None = None) -> list[Revision]:
    """What is published of one part: the branches in order, `main` last.

    `records` is the folder that joins `main` of the states. Raises: IntegrityError: a folder is not the one that
    release.json names.
    """
    made = []
    names = release.part(part).revisions
    for name in sorted(names, key=lambda name: (name == "main", name)):
        folder = bundle / part / name
        paths = {RECORDS: records} if records is not None and part == "states" and name == "main" else {}
        made.append(_revision(part, name, folder, paths))
        if made[-1].digest != names[name]:
            raise IntegrityError(
                "is not the folder that release.json names", where=folder, cure="Build it again: dvc repro bundle"
            )
    return made


def _revision(part: Part, name: str, folder: Path, beside: Mapping[str, Path]) -> Revision:
    known: dict[str, File] = {}
    paths: dict[str, Path] = {}
    for prefix, place in {"": folder, **beside}.items():
        found = {MANIFEST: manifest.read(place / MANIFEST)} if prefix else lists(place)
        for told, file in (expected(found, place) | {n: _file(place / n, n) for n in found}).items():
            path = f"{prefix}/{told}" if prefix else told
            known[path], paths[path] = file, place / told
    return Revision(part=part, name=name, digest=lists(folder)[MANIFEST].digest, files=known, paths=paths)


def _file(path: Path, name: str) -> File:
    return File(path=name, size=path.stat().st_size, sha256=digest.of_file(path))


def everything(bundle: Path, release: Release, records: Path | None = None) -> dict[Part, list[Revision]]:
    """All three parts in the order of publication."""
    return {part: revisions(bundle, release, part, records) for part in PARTS}

"""What is in a folder, byte for byte, and where it came from.

Two halves in two files. The content half is a pure function of recipe and code (after `Order` also of the
determinism class it names); its canonical digest IS the folder's identity. The record half holds what differs
between two equal builds; no digest and no DVC dependency covers it.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from yulan import digest, files
from yulan.errors import DataError, IntegrityError
from yulan.layout import Layout, Place
from yulan.schema import check, plain, read_json

FORMAT = 1
LONGEST = 255 - len(files.PARTIAL)
"""Bytes of the longest name: what common file systems hold, less what a file is called by while it is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    path: str
    """Relative to the listed folder, with / between parts."""
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Determinism:
    """What the bytes depend on besides recipe and code, from the first optimizer step on."""

    isa: str
    """Instruction set or GPU model."""
    threads: int
    ranks: int | None
    """Null where the reduction is exact: any number that divides the grid gives the same bytes."""
    torch: str
    """Version, the local part included."""
    zero: int | None
    """ZeRO stage, whose sums differ; null where the reduction is exact or nothing was trained."""
    precision: Literal["fp32", "bf16"]
    """Of forward and backward."""
    attention: str
    """The kernel, and what else rounds otherwise: fused kernels, torch.compile, AdamW on the host."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The content half."""

    format: int
    stage: str
    """What the folder is: a stage's name, `checkpoint`, or `release`."""
    name: str
    """The recipe, and the phase or revision where there is one: `nano`, `nano/phase-01`."""
    files: tuple[File, ...]
    """Every file of the folder but this one, sorted by path."""
    inputs: Mapping[str, str]
    """Content digests of what it was made from."""
    keys: Mapping[str, Any]
    """Recipe keys it depends on, with their values."""
    summary: Mapping[str, Any]
    """Counts and figures, for people and `dvc metrics diff`."""
    determinism: Determinism | None

    @property
    def digest(self) -> str:
        """The folder's identity."""
        return digest.of_json(plain(self))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The record half."""

    format: int
    content: str
    """Digest of the content half."""
    commit: str | None
    """git commit of the clone, or null outside one."""
    started: str
    """UTC, ISO 8601."""
    seconds: float
    host: str
    """Class of the machine, never its name: system, processor, cores."""
    runs: Mapping[str, str]
    """MLflow run ids."""
    warnings: tuple[str, ...]


def listed(folder: Path, *, but: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Files below a folder, sorted by path.

    Raises: IntegrityError: a link or a special file, which no manifest can hold.
    """
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise IntegrityError("a link or special file", where=path, cure="Replace it with the file itself")
        if path.is_file() and name not in but:
            found.append((name, path))
    return (path for _, path in sorted(found))


def survey(folder: Path, *, but: frozenset[str] = frozenset()) -> tuple[File, ...]:
    """Path, size and sha256 of each file; hashing uses every core, and reads a file with several names once."""
    paths = {path: path.stat() for path in listed(folder, but=but)}
    own = {(about.st_dev, about.st_ino): path for path, about in paths.items()}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sums = dict(zip(own, pool.map(digest.of_file, own.values()), strict=True))
    return tuple(
        File(path=path.relative_to(folder).as_posix(), size=about.st_size, sha256=sums[about.st_dev, about.st_ino])
        for path, about in paths.items()
    )


def write(path: Path, manifest: Manifest) -> None:
    """Write the content half, last of all files of its folder."""
    raw = plain(manifest)
    check(raw, "manifest", path, DataError)
    files.write_json(path, raw)


def read(path: Path) -> Manifest:
    """Raises: DataError: no such file, or it breaks its schema; IntegrityError: a path leaves the folder or stands twice."""
    manifest = read_json(path, "manifest", Manifest)
    require_safe([file.path for file in manifest.files], path)
    return manifest


def require_safe(names: list[str], where: Path) -> None:
    """Raises: IntegrityError: a name is absolute, leaves the folder, has control characters, is longer than a disk allows, is
    another's twin (by case, or by how its accents are written), or another's folder."""
    seen: set[str] = set()
    for name in names:
        parts = name.split("/")
        unsafe = "\\" in name or not name.isprintable() or any(p in {"", ".", ".."} or len(p.encode()) > LONGEST for p in parts)
        if unsafe:
            raise IntegrityError(f"the file name {name[:LONGEST]!r} is not allowed", where=where, cure="Do not use this folder")
        if (folded := _folded(name)) in seen:
            raise IntegrityError(f"the file name {name!r} stands twice", where=where, cure="Do not use this folder")
        seen.add(folded)
    for name in names:
        folder = _folded(name)
        while folder := folder.rpartition("/")[0]:
            if folder in seen:
                raise IntegrityError(f"{name!r} would lie in a file", where=where, cure="Do not use this folder")


def _folded(name: str) -> str:
    """Equal for names that one disk or another takes for one (Unicode's canonical caseless matching)."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def differences(folder: Path, manifest: Manifest, *, but: frozenset[str] = frozenset()) -> list[str]:
    """Rows like `changed  00001.bin`; none if every byte is as listed. `but` names files outside the manifest."""
    there = {file.path: file for file in survey(folder, but=but)}
    told = {file.path: file for file in manifest.files}
    rows = [f"missing  {path}" for path in sorted(told.keys() - there.keys())]
    rows += [f"extra    {path}" for path in sorted(there.keys() - told.keys())]
    rows += [f"changed  {path}" for path in sorted(told.keys() & there.keys()) if told[path] != there[path]]
    return rows


def seal(
    place: Place,
    layout: Layout,
    *,
    stage: str,
    phase: str | None = None,
    inputs: Mapping[str, str],
    keys: Mapping[str, Any],
    summary: Mapping[str, Any],
    determinism: Determinism | None = None,
) -> Manifest:
    """List `place.data`, write the content half beside it, and return it."""
    manifest = Manifest(
        format=FORMAT,
        stage=stage,
        name=f"{layout.recipe}/{phase}" if phase else layout.recipe,
        files=survey(place.data),
        inputs=dict(inputs),
        keys=dict(keys),
        summary=dict(summary),
        determinism=determinism,
    )
    write(place.manifest, manifest)
    return manifest


def require_whole(place: Place) -> Manifest:
    """The manifest of an artifact whose every byte is as listed.

    Raises: DataError: no manifest; IntegrityError: the bytes differ, named one by one.
    """
    manifest = read(place.manifest)
    if rows := differences(place.data, manifest) if place.data.is_dir() else ["missing  data"]:
        raise IntegrityError(
            "does not match its manifest", where=place.folder, cure=f"Restore it with: dvc checkout {place.data}", evidence=rows
        )
    return manifest


def require_parts(place: Place, names: Iterable[str]) -> Manifest:
    """The manifest of an artifact of which the named files are as listed: a picture needs no weights.

    Raises: DataError: no manifest; IntegrityError: a named file is missing or changed.
    """
    manifest = read(place.manifest)
    told = {file.path: file.sha256 for file in manifest.files}
    for name in names:
        path = place.data / name
        if name not in told or not path.is_file() or digest.of_file(path) != told[name]:
            raise IntegrityError(
                f"{name} does not match its manifest", where=place.folder, cure=f"Restore it with: dvc checkout {place.data}"
            )
    return manifest

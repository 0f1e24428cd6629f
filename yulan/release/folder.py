"""What a published folder holds, and whether every byte of it is as listed.

Three parts, each with its own list: the content (`manifest.json`), the card (`card.json`: README.md, README.zh.md,
checkpoints.csv and withdrawn.json, which may change without touching the release's identity) and, where a publication put
them, the records (`records/manifest.json`). The docs are in docs/formats/release.md.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from yulan import digest, manifest
from yulan.errors import DataError, IntegrityError
from yulan.layout import DATA, MANIFEST
from yulan.manifest import File, Manifest

CARD = "card.json"
WITHDRAWN = "withdrawn.json"
CARD_FILES = ("README.md", "README.zh.md", "checkpoints.csv", WITHDRAWN)
RECORDS = "records"
SIGNATURE, CARD_SIGNATURE = "model.sig", "card.sig"
"""Over the content and over the card; in no list, since they cover the lists (yulan/release/sign.py)."""
RELEASE, CHECKPOINT = "release", "checkpoint"
COLUMNS = ("stage", "phase", "step", "tokens", "revision", "digest", "states", "architecture", "alias_of", "begin", "tags")
"""Of checkpoints.csv."""
ALIEN = ".gitattributes"
"""Hubs add it; no list has it."""

Stamp = tuple[int, int, int, int]
"""Inode, size and the times of the last change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A folder that was compared with its lists."""

    files: int
    differences: tuple[str, ...]
    digest: str | None
    """The content's identity; null where only the card is there."""
    sums: Mapping[str, str]
    """sha256 of each listed file and of the lists; true where there are no differences."""


def listed(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Files by name, and rows for what no list can hold.

    Two shapes of strangers are taken as they are: `.cache/huggingface`, which downloads leave beside the files, and
    the client's cache, where each file is a link into the cache's own `blobs`.
    """
    found: dict[str, Path] = {}
    rows: list[str] = []
    for root, folders, names in os.walk(folder):
        here = Path(root)
        if here == folder / ".cache" and "huggingface" in folders:
            folders.remove("huggingface")
        for name in [*names, *(f for f in folders if (here / f).is_symlink())]:
            path = here / name
            told = path.relative_to(folder).as_posix()
            if told == ALIEN:
                continue
            if not path.is_file() or (path.is_symlink() and not _cached(path, folder)):
                rows.append(f"link     {told}")
            else:
                found[told] = path
    return found, rows


def _cached(path: Path, folder: Path) -> bool:
    """Whether a link leads into the blobs of the hub cache that `folder` is a snapshot of."""
    folder = folder.resolve()
    if folder.parent.name != "snapshots":
        return False
    repo, target = folder.parent.parent, path.resolve()
    return any(target.is_relative_to(blobs) for blobs in (repo / "blobs", repo.parent / "blobs"))


def lists(folder: Path) -> dict[str, Manifest]:
    """The lists of a folder by their own file name.

    Raises: DataError: none is there, or one breaks its schema.
    """
    names = (MANIFEST, CARD, f"{RECORDS}/{MANIFEST}")
    found = {name: manifest.read(folder / name) for name in names if (folder / name).is_file()}
    if MANIFEST not in found and CARD not in found:
        raise DataError("no manifest.json", where=folder, cure="Give a folder that was pulled, or an artifact's")
    return found


def expected(found: Mapping[str, Manifest], where: Path) -> dict[str, File]:
    """Every listed file by its name in the folder.

    Raises: IntegrityError: two lists have the same file.
    """
    told: dict[str, File] = {}
    for name, part in found.items():
        prefix = f"{RECORDS}/" if name.startswith(RECORDS) else ""
        for file in part.files:
            if prefix + file.path in told:
                raise IntegrityError(f"{prefix + file.path} is listed twice", where=where, cure="Do not use this folder")
            told[prefix + file.path] = file
    return told


def stamp(path: Path) -> Stamp:
    """What changes when a file is written to or another takes its place."""
    told = path.stat()
    return told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns


def check(folder: Path, seen: Mapping[str, Stamp] | None = None) -> Checked:
    """Compare a folder with its lists, using every core; rows like `changed  config.json`.

    Files that were hashed already by this process and bear the `seen` stamp still are not hashed again.

    Raises: DataError: no list; IntegrityError: a list is unsafe or contradicts another.
    """
    found = lists(folder)
    content = found.get(MANIFEST)
    base = folder
    if content is not None and content.stage not in {RELEASE, CHECKPOINT}:
        base, found = folder / DATA, {MANIFEST: content}
    told = expected(found, folder)
    known = seen or {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # The largest first, so that no core is left with it at the end; meanwhile the folder is walked.
        order = sorted(told, key=lambda name: (-told[name].size, name))
        same = {name: pool.submit(_same, base / name, told[name], known.get(name)) for name in order}
        there, rows = listed(base)
    own = {*found, SIGNATURE, CARD_SIGNATURE} if base == folder else set()
    if content is not None and content.stage == RELEASE and CARD not in found:
        rows.append(f"missing  {CARD}")
    rows += [f"missing  {name}" for name in told.keys() - there.keys()]
    rows += [f"extra    {name}" for name in there.keys() - told.keys() - own]
    rows += [f"changed  {name}" for name in told.keys() & there.keys() if not same[name].result()]
    sums = {name: file.sha256 for name, file in told.items()} | {name: digest.of_file(folder / name) for name in found}
    return Checked(files=len(told), differences=tuple(sorted(rows)), digest=content.digest if content else None, sums=sums)


def _same(path: Path, file: File, seen: Stamp | None) -> bool:
    return path.stat().st_size == file.size and (stamp(path) == seen or digest.of_mapped(path) == file.sha256)

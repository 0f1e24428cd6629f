"""Bring a slice of a phase's token files from the data sets that hold them, or say which are not to be had."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from yulan import files
from yulan.data.slice import Piece
from yulan.manifest import require_safe
from yulan.mix import PREFIX
from yulan.recipe.sources import Source
from yulan.release.bring import bring
from yulan.release.footers import Declared, Footers
from yulan.release.hub import Hub, Refused, Remote
from yulan.release.names import Repo
from yulan.release.place import on_hub
from yulan.release.progress import Progress, Say
from yulan.release.slice import Absent, Found, Slice, slice_folder, write_slice

THREADS = 8
TAIL, LONGEST = 1 << 16, 1 << 24
"""Bytes at a file's end that are asked for to read its footer, and of the longest footer that is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the files of one source may lie."""

    repo: str
    revision: str
    prefix: str
    """Before the source's name in a file's path there."""
    column: str


def place_of(source: Source, repo: str | None, prefix: str) -> Place | None:
    """What the recipe says of a source, or the data set named instead of it; None: neither names one."""
    told = repo or (str(source.options["repo"]) if source.tokenised else None)
    if told is None:
        return None
    name, _, revision = told.partition("@")
    return Place(repo=name, revision=revision or "main", prefix=prefix, column=str(source.options.get("column", "input_ids")))


def survey(hub: Hub, pieces: Sequence[Piece], places: Mapping[str, Place | None]) -> tuple[tuple[Found, ...], tuple[Absent, ...]]:
    """Which files of the pieces are to be had, where, and how large they are; only the ends of files are read.

    Raises: HubError: the hub does not answer; StateError: footers cannot be read on this machine.
    """
    asked = [(piece.source, f"{PREFIX}{piece.source}{path}", path) for piece in pieces for path in piece.paths]
    require_safe([path for _, path, _ in asked], Path(PREFIX))
    there, refusals = _look(hub, asked, places)
    with Footers() as footers, ThreadPoolExecutor(THREADS) as pool:
        rows = list(pool.map(lambda row: _measure(hub, footers, row, places[row[0]], there, refusals), asked))
    found = tuple(row for row in rows if isinstance(row, Found))
    return found, tuple(row for row in rows if isinstance(row, Absent))


Asked = tuple[str, str, str]
"""A source, the published path of a file of it, and what of it stands behind the source's name."""


def _look(
    hub: Hub, asked: Sequence[Asked], places: Mapping[str, Place | None]
) -> tuple[dict[tuple[str, str], tuple[str, Remote]], dict[str, str]]:
    """By data set and path there: the commit and the file. And the data sets that were refused, with the reason."""
    names: dict[tuple[str, str], list[str]] = {}
    for source, _, rest in asked:
        if (place := places[source]) is not None:
            names.setdefault((place.repo, place.revision), []).append(f"{place.prefix}{source}{rest}")
    there: dict[tuple[str, str], tuple[str, Remote]] = {}
    refusals = {}
    for (name, revision), wanted in names.items():
        repo = Repo(id=name, part="data")
        try:
            commit = hub.commit_of(repo, revision)
            there |= {(name, path): (commit, remote) for path, remote in hub.find(repo, commit, wanted).items()}
        except Refused as error:
            refusals[name] = f"{repo}: {error.what}"
    return there, refusals


def _measure(
    hub: Hub,
    footers: Footers,
    row: Asked,
    place: Place | None,
    there: Mapping[tuple[str, str], tuple[str, Remote]],
    refusals: Mapping[str, str],
) -> Found | Absent:
    source, path, rest = row

    def absent(reason: str) -> Absent:
        return Absent(source=source, path=path, reason=reason)

    if place is None:
        return absent("the recipe names no data set that holds it")
    if place.repo in refusals:
        return absent(refusals[place.repo])
    name = f"{place.prefix}{source}{rest}"
    if (place.repo, name) not in there:
        return absent(f"datasets/{place.repo} has no such file")
    commit, remote = there[place.repo, name]
    told = _declared(hub, footers, Repo(id=place.repo, part="data"), commit, name, remote.size, place.column)
    if told is None:
        return absent(f"what datasets/{place.repo} has is not Parquet")
    return Found(
        source=source,
        path=path,
        repo=place.repo,
        commit=commit,
        name=name,
        size=remote.size,
        sha256=remote.sha256,
        blob=remote.blob,
        rows=told.rows,
        tokens=told.tokens,
    )


def _declared(hub: Hub, footers: Footers, repo: Repo, commit: str, name: str, size: int, column: str) -> Declared | None:
    """What a Parquet file's footer says, of which the last bytes tell the length."""
    length = TAIL
    for _ in range(2):
        tail = b"".join(hub.read(repo, commit, name, max(0, size - length)))[-length:]
        told = int.from_bytes(tail[-8:-4], "little") + 8
        if told <= len(tail) or told > min(size, LONGEST):
            break
        length = told
    return footers.read(tail, column)


def fetch(hub: Hub, made: Slice, target: Path, say: Say) -> int:
    """Bring the files of a slice below `target` by their published paths, then write what it is made of.

    Returns: bytes that came over the wire. Interrupted, the same call goes on where it stopped.
    Raises: HubError: the hub fails or sends other bytes; ResourceError: they do not fit on the disk; StateError: another
    process fetches into the same folder.
    """
    handle = files.lock(target / ".lock")
    try:
        missing = [file for file in made.files if not _remote(file).is_at(target / file.path)]
        size = sum(file.size for file in missing)
        files.require_space(target, size)
        fetched, progress = 0, Progress(made.name, size, say)
        for file in missing:
            place = on_hub(hub, Repo(id=file.repo, part="data"), file.commit, file.name)
            fetched += bring([place], file.path, _remote(file), target / file.path, say, progress.add).wire
        write_slice(made, slice_folder(target, made))
    finally:
        os.close(handle)
    return fetched


def _remote(file: Found) -> Remote:
    return Remote(size=file.size, sha256=file.sha256, blob=file.blob)

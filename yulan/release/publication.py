"""A publication record: which commits of which repositories hold which digests. Made after the fact, since a release
cannot name its own commit; each one carries the digest of the one before, so that none can be rewritten alone."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from yulan import digest, files
from yulan.errors import DataError, IntegrityError
from yulan.schema import check, load_json, plain, structure


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    commit: str
    digest: str
    """Content digest of the folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One repository."""

    id: str
    kind: str
    revisions: Mapping[str, Branch]
    tags: Mapping[str, str]
    """Tag -> commit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    format: int
    previous: str | None
    """Digest of the record before this one; null for the first."""
    bundle: str
    """Content digest of the bundle."""
    verdict: str
    """sha256 of verdict.json."""
    commit: str
    """git commit of the clone."""
    lock: str
    """sha256 of dvc.lock."""
    hub: str
    time: str
    """UTC, ISO 8601."""
    repos: tuple[Published, ...]

    def same_as(self, other: "Publication") -> bool:
        """Whether nothing but the time and place in the chain differs."""
        drop = {"time": "", "previous": None}
        return bool(plain(self) | drop == plain(other) | drop)


def hub_name(endpoint: str) -> str:
    """A hub as records name it; a rehearsal hub has another port each time and is the same hub."""
    parts = urlsplit(endpoint)
    return "rehearsal" if parts.hostname in {"127.0.0.1", "::1", "localhost"} else f"{parts.scheme}://{parts.hostname}"


def chain(folder: Path) -> list[Publication]:
    """All records, oldest first.

    Raises: IntegrityError: a record does not name the one before it.
    """
    made: list[Publication] = []
    previous: str | None = None
    for path in sorted(folder.glob("*.json")):
        raw = load_json(path)
        check(raw, "publication", path, DataError)
        record = structure(raw, Publication)
        if record.previous != previous:
            raise IntegrityError("does not name the record before it", where=path, cure="Restore it with: git checkout")
        made.append(record)
        previous = digest.of_json(raw)
    return made


def add(folder: Path, record: Publication) -> Path | None:
    """Write the record at the end of the chain, or nothing where it says what the last one for this hub says."""
    before = chain(folder)
    same_hub = [old for old in before if old.hub == record.hub]
    if same_hub and same_hub[-1].same_as(record):
        return None
    linked = plain(record) | {"previous": digest.of_json(plain(before[-1])) if before else None}
    path = folder / f"{len(before) + 1:04d}.json"
    check(linked, "publication", path, DataError)
    return files.write_json(path, linked)


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

"""What a study asks and what will count as an answer, on disk before its first run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import digest, files
from yulan.errors import DataError, StateError
from yulan.schema import check, plain, read_json

PROTOCOL = "protocol.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """protocol.json."""

    format: int
    study: str
    question: str
    outcome: str
    """The one measure that the answer is read from."""
    effect: str
    """How large a difference counts, and as what."""
    analysis: str
    """How intervals are made."""
    known: str
    """What was looked at before this was written."""
    recipe: str
    data: Mapping[str, str]
    """Content digests of the artifacts that are read."""
    settings: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return digest.of_json(plain(self))


def register(protocol: Protocol, folder: Path) -> None:
    """Write it if it is new.

    Raises: StateError: the folder holds runs of another protocol.
    """
    path = folder / PROTOCOL
    raw = plain(protocol)
    check(raw, "protocol", path, DataError)
    if not path.exists():
        files.write_json(path, raw)
        return
    before = read_protocol(folder)
    if before.digest == protocol.digest:
        return
    changed = sorted(key for key, value in raw.items() if plain(before)[key] != value)
    raise StateError(
        f"holds a study under another protocol; changed: {', '.join(changed)}",
        where=folder,
        cure="Choose another folder with --into, or give the options that it was begun with",
    )


def read_protocol(folder: Path) -> Protocol:
    """Raises: DataError: no protocol.json, or it breaks its schema."""
    return read_json(folder / PROTOCOL, "protocol", Protocol)

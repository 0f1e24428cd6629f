"""locations.json: other addresses of a release's files. Nothing in it need be trusted: every byte is held against the lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from yulan.release.place import Place, at
from yulan.schema import read_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Locations:
    """Addresses begin with https://, http://, file:/// or /; those of a folder end with /."""

    format: int
    files: Mapping[str, tuple[str, ...]]
    """Addresses by sha256, in the order of trying."""
    folders: tuple[str, ...]
    """Where files lie under their names in the revision; tried after `files`."""

    def places(self, name: str, sha256: str) -> list[Place]:
        """Where a file may be, in the order of trying."""
        named = [at(address, _host(address)) for address in self.files.get(sha256, ())]
        return named + [in_folder(folder, name) for folder in self.folders]


NOWHERE = Locations(format=1, files={}, folders=())


def read_locations(path: Path) -> Locations:
    """Raises: DataError: it breaks its schema."""
    return read_json(path, "locations", Locations)


def in_folder(folder: str, name: str) -> Place:
    return at(folder + (name if folder.startswith("/") else quote(name)), _host(folder))


def _host(address: str) -> str:
    """Of an address on the web without path and query, which may hold a signature or a password."""
    parts = urlsplit(address)
    if parts.scheme in {"http", "https"}:
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return address

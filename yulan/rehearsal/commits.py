"""A commit: the whole tree of one moment, as one immutable JSON file under its own id."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from yulan import digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file of a tree."""

    size: int
    """Bytes of the file itself."""
    sha256: str
    blob_id: str
    """git's id of the file or, for a large one, of its LFS pointer."""
    lfs: bool

    @property
    def oid(self) -> str:
        """What a client compares to know whether a file changed, and the ETag of its download."""
        return self.sha256 if self.lfs else self.blob_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    parents: tuple[str, ...]
    title: str
    message: str
    date: str
    author: str
    tree: dict[str, Entry]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Commit":
        tree = {path: Entry(**entry) for path, entry in value["tree"].items()}
        return cls(**{**value, "parents": tuple(value["parents"]), "tree": tree})

    @property
    def id(self) -> str:
        """40 hex digits like git's; not git's own, since nobody can fetch this commit with git."""
        return digest.git_blob(digest.canonical(self.to_json()))


def now() -> str:
    """UTC with milliseconds, as the hub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def pointer(sha256: str, size: int) -> bytes:
    """The text that git keeps in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def large(sha256: str, size: int) -> Entry:
    return Entry(size=size, sha256=sha256, blob_id=digest.git_blob(pointer(sha256, size)), lfs=True)


def small(data: bytes) -> Entry:
    return Entry(size=len(data), sha256=digest.of_bytes(data), blob_id=digest.git_blob(data), lfs=False)

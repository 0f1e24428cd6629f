"""Every hash this project computes, and the one canonical form that is hashed."""

import hashlib
import hmac
import json
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BLOCK = 1 << 20


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8 and the shortest float that reads back; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def of_bytes(data: bytes | memoryview) -> str:
    """sha256, 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def of_json(value: Any) -> str:
    """sha256 of the canonical form."""
    return of_bytes(canonical(value))


def of_file(path: Path) -> str:
    """sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of_file(path: Path) -> str:
    """The name that DVC gives a file's bytes; not for security."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_bytes(data: bytes) -> str:
    """The same of bytes at hand."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def of_mapped(path: Path) -> str:
    """The same without a copy, for files that are mapped to be read anyway: a sixth less time. Cut short meanwhile, it kills."""
    if not path.stat().st_size:
        return of_bytes(b"")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return hashlib.sha256(data).hexdigest()


def of_text(text: str) -> str:
    """Document id of kind `text`: nothing is changed but line ends, which become \\n."""
    return of_bytes(text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "surrogatepass"))


def chained(previous: str, row: dict[str, Any]) -> str:
    """Digest of a log row that also covers every row before it."""
    return of_bytes(previous.encode() + canonical(row))


def git_blob(data: bytes) -> str:
    """git's own id of a small file (SHA-1), the only digest a hub's tree gives for it."""
    state = git_running(len(data))
    state.update(data)
    return state.hexdigest()


def git_running(size: int) -> "hashlib._Hash":
    """The same of `size` bytes that come piece by piece."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def git_blob_of(path: Path) -> str:
    """The same of a file, read in blocks."""
    state = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()


def of_parts(parts: Iterable[bytes]) -> str:
    """sha256 of a stream."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.hexdigest()


def keyed(key: bytes, data: bytes) -> str:
    """HMAC-SHA256: only the holder of `key` can make it."""
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare two digests in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def leaf(data: bytes) -> bytes:
    """Hash of a Merkle tree's leaf (RFC 9162, 2.1.1), 32 bytes."""
    return hashlib.sha256(b"\0" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node; its own prefix, so that no leaf can pass for a node."""
    return hashlib.sha256(b"\1" + left + right).digest()


def running() -> "hashlib._Hash":
    """sha256 of what is written piece by piece: `update` it, then ask its `hexdigest`."""
    return hashlib.sha256()

"""Xet's storage, as far as the stock client needs it: xorbs hold compressed chunks, a shard says which of them make a file.

The formats are those of the public Xet protocol specification (xorb and shard pages), read from what hf_xet 1.8 sends.
Chunk hashes are not recomputed: a file counts only once its bytes have the sha256 that its commit names.
"""

import json
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from yulan import files
from yulan.rehearsal.objects import Objects, counted
from yulan.rehearsal.refused import Refused

XORB = 128 << 20
"""Most bytes of a xorb; the client stops at half of this."""
HASH = re.compile(r"[0-9a-f]{64}")
TAG = b"HFRepoMetaData\0"
ROW = 48
"""Every record of a shard has this many bytes; the first is its head."""
END = b"\xff" * 32
VERIFIED, NAMED = 1 << 31, 1 << 30
"""A file's flags: each segment is followed by a verification row, and the sha256 stands in one more row."""
PLAIN, LZ4, GROUPED = range(3)
"""A chunk's compression: none, an LZ4 frame, or an LZ4 frame of the bytes sorted by their index modulo 4."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    offset: int
    """Of its header, in the xorb."""
    end: int
    size: int
    """Bytes when unpacked."""
    compression: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """Chunks `start` to `end` (exclusive) of one xorb, which unpack to `size` bytes of a file."""

    xorb: str
    start: int
    end: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    hash: str
    sha256: str
    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        return sum(term.size for term in self.terms)


class Xet:
    def __init__(self, root: Path) -> None:
        self.root = root

    def xorb(self, hash: str) -> Path:
        return self.root / "xorbs" / hash[:2] / hash[2:]

    def receive_xorb(self, blocks: Iterable[bytes], hash: str) -> bool:
        """Stream a xorb in; False where it was here before."""
        if self.xorb(hash).exists():
            for _ in blocks:
                pass
            return False
        with files.open_new(self.xorb(hash)) as file:
            for _ in counted(blocks, file, XORB):
                pass
        return True

    def receive_shard(self, data: bytes) -> None:
        """Remember how each file of a shard is put together, and under which sha256 a commit will ask for it.

        Raises: Refused: not a shard, or it names chunks that were not uploaded.
        """
        for file in read_shard(data):
            for term in file.terms:
                rows = self.chunks(term.xorb)[term.start : term.end]
                if len(rows) != term.end - term.start or sum(row.size for row in rows) != term.size:
                    raise Refused(400, f"The shard names chunks that xorb {term.xorb} does not have")
            files.write_json(self.root / "files" / file.hash, asdict(file))
            files.write_text(self.root / "claims" / file.sha256, file.hash)

    def file(self, hash: str) -> File | None:
        path = self.root / "files" / hash
        if not HASH.fullmatch(hash) or not path.is_file():
            return None
        value = json.loads(path.read_bytes())
        return File(**{**value, "terms": tuple(Term(**term) for term in value["terms"])})

    def chunks(self, xorb: str) -> tuple[Chunk, ...]:
        path = self.xorb(xorb)
        if not path.is_file():
            raise Refused(400, f"Xorb {xorb} was not uploaded")
        return walk(path)

    def name(self, sha256: str) -> str | None:
        """Xet's hash of a file whose bytes were checked against `sha256`."""
        path = self.root / "names" / sha256
        return path.read_text() if path.is_file() else None

    def settle(self, sha256: str, size: int | None, objects: Objects) -> bool:
        """Unpack a file that came by Xet and store it as an object, if its bytes are what `sha256` says.

        False where no upload claims this sha256. Raises: Refused: the bytes are others.
        """
        claim = self.root / "claims" / sha256
        if not claim.is_file():
            return False
        hash = claim.read_text()
        file = self.file(hash)
        if file is None or (size is not None and size != file.size):
            return False
        objects.receive(self.unpacked(file), sha256, file.size)
        files.write_text(self.root / "names" / sha256, hash)
        return True

    def forget(self, sha256: str) -> None:
        """A file's names and its plan go; its chunks may be other files' too, and stay."""
        if hash := self.name(sha256):
            files.remove(self.root / "files" / hash)
        for kind in ("names", "claims"):
            files.remove(self.root / kind / sha256)

    def unpacked(self, file: File) -> Iterator[bytes]:
        """The file's bytes, one chunk at a time."""
        for term in file.terms:
            with self.xorb(term.xorb).open("rb") as stream:
                for chunk in self.chunks(term.xorb)[term.start : term.end]:
                    stream.seek(chunk.offset + 8)
                    yield unpack(stream.read(chunk.end - chunk.offset - 8), chunk)


@lru_cache(maxsize=256)
def walk(path: Path) -> tuple[Chunk, ...]:
    """Chunks of a xorb, from their eight-byte headers; a footer, if there is one, ends the walk."""
    rows, offset, length = [], 0, path.stat().st_size
    with path.open("rb") as file:
        while offset < length:
            file.seek(offset)
            head = file.read(8)
            if len(head) < 8 or head.startswith(b"XETBLOB"):
                break
            end = offset + 8 + int.from_bytes(head[1:4], "little")
            if end > length or head[4] > GROUPED:
                raise Refused(400, "Not a xorb")
            rows.append(Chunk(offset=offset, end=end, size=int.from_bytes(head[5:8], "little"), compression=head[4]))
            offset = end
    return tuple(rows)


def unpack(data: bytes, chunk: Chunk) -> bytes:
    """Raises: Refused: the bytes do not unpack to the size that the chunk's header states."""
    if chunk.compression == PLAIN:
        return data
    import pyarrow

    try:
        plain: bytes = pyarrow.decompress(data, decompressed_size=chunk.size, codec="lz4", asbytes=True)
    except (OSError, ValueError):
        raise Refused(400, "A chunk does not unpack") from None
    if chunk.compression == LZ4:
        return plain
    whole, start = bytearray(chunk.size), 0
    for lane in range(4):
        length = len(range(lane, chunk.size, 4))
        whole[lane::4] = plain[start : start + length]
        start += length
    return bytes(whole)


def read_shard(data: bytes) -> Iterator[File]:
    """Files of a shard. Raises: Refused: cut short, or not a shard."""
    if not data.startswith(TAG):
        raise Refused(400, "Not a shard")
    try:
        at = ROW
        while data[at : at + 32] != END:
            flags, count = struct.unpack_from("<II", data, at + 32)
            segments = tuple(_term(data, at + ROW * (1 + n)) for n in range(count))
            sha256_at = at + ROW * (1 + count * (2 if flags & VERIFIED else 1))
            if not flags & NAMED:
                raise Refused(400, "The shard does not say which sha256 its file has")
            yield File(hash=_hash(data, at), sha256=_hash(data, sha256_at), terms=segments)
            at = sha256_at + ROW
    except struct.error:
        raise Refused(400, "The shard is cut short") from None


def _term(data: bytes, at: int) -> Term:
    _, size, start, end = struct.unpack_from("<4I", data, at + 32)
    return Term(xorb=_hash(data, at), start=start, end=end, size=size)


def _hash(data: bytes, at: int) -> str:
    """Hashes are four little-endian 64-bit words, written as hex digits word by word."""
    return "".join(f"{word:016x}" for word in struct.unpack_from("<4Q", data, at))

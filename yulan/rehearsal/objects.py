"""Bytes by their sha256: written once, checked while they are written, never opened for writing again."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from yulan import digest, files
from yulan.rehearsal.refused import Refused


class Objects:
    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256[2:]

    def has(self, sha256: str, size: int | None = None) -> bool:
        path = self.path(sha256)
        return path.is_file() and (size is None or path.stat().st_size == size)

    def put(self, data: bytes) -> str:
        """Store a small file; returns its sha256."""
        sha256 = digest.of_bytes(data)
        if not self.has(sha256):
            files.write_bytes(self.path(sha256), data)
        return sha256

    def receive(self, blocks: Iterable[bytes], sha256: str, size: int) -> None:
        """Stream a large file in. A stream that is not what its name says leaves nothing behind.

        Raises: Refused: longer, shorter or other bytes than promised.
        """
        with files.open_new(self.path(sha256)) as file:
            found = digest.of_parts(counted(blocks, file, size))
            if file.tell() != size:
                raise Refused(400, f"{file.tell()} bytes came of the {size} promised")
            if found != sha256:
                raise Refused(400, f"The bytes have sha256 {found}, not {sha256}")


def counted(blocks: Iterable[bytes], file: IO[bytes], limit: int) -> Iterator[bytes]:
    """Write each block to `file` on its way through; stop a stream that is longer than promised."""
    seen = 0
    for block in blocks:
        seen += len(block)
        if seen > limit:
            raise Refused(413, f"More than the {limit} bytes promised")
        file.write(block)
        yield block

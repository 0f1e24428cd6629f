"""Files on their way to a hub: in bounded batches, over LFS, each byte counted as it leaves."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from huggingface_hub import CommitOperationAdd, constants

from yulan.manifest import File

BATCH_FILES, BATCH_BYTES = 64, 5 << 30
"""Most of one upload call: what is sent again if it fails."""
Count = Callable[[int], None]


class _Counted(io.BufferedReader):
    """A file that tells how many bytes were read from it. The client rewinds it, and sends again, when an answer is lost."""

    def __init__(self, path: str, count: Count) -> None:
        super().__init__(io.FileIO(path))
        self._count = count

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._count(len(data))
        return data


class Addition(CommitOperationAdd):
    """A file of a commit whose sha256 is known."""

    def __init__(self, name: str, path: Path, file: File, count: Count) -> None:
        super().__init__(path_in_repo=name, path_or_fileobj=str(path))
        self.upload_info.sha256 = bytes.fromhex(file.sha256)
        self.count = count

    @contextmanager
    def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:
        """`with_tqdm` is how the client says that it sends the file, not only looks at it."""
        with _Counted(str(self.path_or_fileobj), self.count if with_tqdm else lambda _: None) as file:
            yield file


def additions(files: Mapping[str, Path], known: Mapping[str, File], count: Count = lambda _: None) -> list[Addition]:
    """`count` is told the bytes of large files as they leave, from several threads."""
    return [Addition(name, path, known[name], count) for name, path in files.items()]


def batches(operations: list[Addition]) -> Iterator[list[Addition]]:
    """Runs of files bounded in number and bytes; a larger file stands alone."""
    batch: list[Addition] = []
    for operation in operations:
        size = sum(o.upload_info.size for o in batch) + operation.upload_info.size
        if batch and (len(batch) == BATCH_FILES or size > BATCH_BYTES):
            yield batch
            batch = []
        batch.append(operation)
    if batch:
        yield batch


@contextmanager
def lfs_only() -> Iterator[None]:
    """Upload over LFS: the server then checks each object against the sha256 we know, and skips those it has."""
    before = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before

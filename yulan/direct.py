"""Large files that go past the page cache: no processor time for copies that nobody reads, and others' pages stay."""

import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from yulan import files

BUFFER = 4 << 20
"""Bytes of one write: whole pages, which begin at a page of memory, as direct writing asks."""
FLAG = getattr(os, "O_DIRECT", 0)
"""0 where there is no such thing, as on macOS."""


class Direct:
    """The end of a file that other threads write, one buffer while the next is filled.

    What a file system does not take directly goes through the page cache, as all else does.
    """

    def __init__(self, file: IO[bytes], threads: Executor, see: Callable[[memoryview], Any] | None = None) -> None:
        """`see` is shown all bytes in their order, beside the writing where `threads` are two."""
        self.file, self.threads, self.see = file, threads, see
        self.buffer, self.other = mmap.mmap(-1, BUFFER), mmap.mmap(-1, BUFFER)
        self.filled = self.size = 0
        self.under_way: list[Future[Any]] = []
        self.direct = self._turn(on=True)

    def write(self, data: bytes | memoryview) -> None:
        """`data` is free when it returns. Raises: OSError: an earlier part could not be written."""
        rest = memoryview(data)
        while rest:
            part = rest[: BUFFER - self.filled]
            self.buffer[self.filled : self.filled + len(part)] = part
            self.filled += len(part)
            rest = rest[len(part) :]
            if self.filled == BUFFER:
                self._settle()
                full = memoryview(self.buffer)
                self.under_way = [self.threads.submit(each, full) for each in (self._put, self.see) if each]
                self.buffer, self.other, self.filled = self.other, self.buffer, 0

    def close(self) -> None:
        """Write the rest, which fills no page; the file itself stays open. Also on the one thread that writes: it takes turns."""
        self._settle()
        self.direct = self._turn(on=False)
        rest = memoryview(self.buffer)[: self.filled]
        self._put(rest)
        if self.see:
            self.see(rest)
        self.filled = 0

    def _settle(self) -> None:
        for each in self.under_way:
            each.result()

    def _put(self, rest: memoryview) -> None:
        while rest:
            try:
                done = os.write(self.file.fileno(), rest)
            except OSError as error:
                if error.errno != errno.EINVAL or not self.direct:
                    raise
                self.direct = self._turn(on=False)
                continue
            if not self.direct and hasattr(os, "posix_fadvise"):
                # Linux begins to write dirty pages that are said to be of no more use: fsync finds little left to wait for.
                os.posix_fadvise(self.file.fileno(), self.size, done, os.POSIX_FADV_DONTNEED)
            self.size += done
            rest = rest[done:]

    def _turn(self, *, on: bool) -> bool:
        """Whether the file is written directly from now on."""
        flags = fcntl.fcntl(self.file, fcntl.F_GETFL) & ~FLAG
        try:
            fcntl.fcntl(self.file, fcntl.F_SETFL, flags | FLAG * on)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        return on and FLAG != 0


@contextmanager
def open_direct(path: Path, disk: Executor) -> Iterator[Direct]:
    """`files.open_new` for bytes that come in large parts; `disk` has one thread."""
    with files.open_new(path) as file:
        out = Direct(file, disk)
        try:
            yield out
            out.close()
        finally:
            # A file that is closed in the middle of a write leaves its number to another one.
            wait(out.under_way)

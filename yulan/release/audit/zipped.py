"""Torch files of others by range requests: a zip of one pickle and raw numbers. The pickle is looked through, never unpickled."""

import io
import pickletools
import struct
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from yulan.release.audit.survey import Seen, Survey
from yulan.release.gate.contents import HEAD

MOST = 8 << 20
"""Bytes that are read of one file to find its way in it."""
LARGEST = 4 << 20
"""Bytes of the largest pickle that is looked through."""
TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}
WHOLE = {"BININT", "BININT1", "BININT2", "LONG1", "INT"}
BETWEEN = {"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"}
BROKEN = (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError, RuntimeError, EOFError, LookupError)


class Ranged(io.RawIOBase):
    """A file on a hub, read in pieces where it is looked at."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size, self._at = read, size, 0
        self._pieces: dict[int, bytes] = {}

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def read(self, count: int = -1) -> bytes:
        """Raises: OSError: more than MOST bytes of the file would be read."""
        end = self._size if count < 0 else min(self._size, self._at + count)
        found = bytearray()
        for number in range(self._at // HEAD, -(-end // HEAD)):
            if number not in self._pieces:
                if len(self._pieces) * HEAD >= MOST:
                    raise OSError("too much of it")
                self._pieces[number] = self._read(number * HEAD, min(HEAD, self._size - number * HEAD))
            found += self._pieces[number]
        start = self._at - self._at // HEAD * HEAD
        data = bytes(found[start : start + max(0, end - self._at)])
        self._at += len(data)
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A torch file's parts."""

    pickle: bytes
    storages: tuple[zipfile.ZipInfo, ...]
    """Runs of numbers."""
    file: Ranged


def unpack(survey: Survey, seen: Seen, name: str) -> Packed | None:
    """Where the parts of a torch file are; null: it is none, or not packed as torch packs it."""
    file = Ranged(lambda start, length: survey.part(seen, name, start, length) or b"", seen.files[name].size)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            (told,) = (each for each in entries if each.filename.endswith("/data.pkl"))
            if any(each.compress_type != zipfile.ZIP_STORED for each in entries) or told.file_size > LARGEST:
                return None
            runs = tuple(each for each in entries if "/data/" in each.filename)
            return Packed(pickle=archive.read(told), storages=runs, file=file)
    except BROKEN:
        return None


def _begin(file: Ranged, entry: zipfile.ZipInfo) -> int:
    """First byte of an entry: behind its own header, whose padding only it tells."""
    file.seek(entry.header_offset + 26)
    return entry.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))


def opcodes(pickle: bytes) -> Iterator[tuple[str, Any]]:
    """(opcode, argument) as far as they can be read."""
    try:
        yield from ((opcode.name, argument) for opcode, argument, _ in pickletools.genops(pickle))
    except Exception:  # the reader raises whatever broken bytes lead it to
        return


def numbers_in(survey: Survey, seen: Seen, name: str, keys: Collection[str]) -> dict[str, int]:
    """Whole numbers that stand behind these keys in a torch file."""
    packed = unpack(survey, seen, name)
    found: dict[str, int] = {}
    key: str | None = None
    for opcode, argument in opcodes(packed.pickle if packed else b""):
        if opcode in TEXTS:
            key = str(argument)
        elif opcode in WHOLE and key is not None and key in keys:
            found[key], key = int(argument), None
        elif opcode not in BETWEEN:
            key = None
    return found


def floats(survey: Survey, seen: Seen, name: str) -> tuple[int, int] | None:
    """(first byte, how many) of the fp32 numbers of a torch file that holds one tensor; null: it holds another thing."""
    packed = unpack(survey, seen, name)
    if packed is None or len(packed.storages) != 1:
        return None
    kinds = {str(argument) for opcode, argument in opcodes(packed.pickle) if opcode in {"GLOBAL", *TEXTS}}
    if not kinds & {"torch FloatStorage", "FloatStorage"}:
        return None
    (run,) = packed.storages
    try:
        return _begin(packed.file, run), run.file_size // 4
    except BROKEN:
        return None

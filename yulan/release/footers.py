"""What strangers' Parquet footers declare, read in a process of its own that may die of one."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from yulan.errors import StateError

PROGRAM = Path(__file__).with_name("footer.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    rows: int
    tokens: int
    """Ids in the column that was asked for; a row without ids counts as one."""


class Footers:
    """Answers from any thread, one at a time; the process starts with the first question, and again after one killed it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def read(self, tail: bytes, column: str) -> Declared | None:
        """Of a file that ends in `tail`; None: it has no footer that can be read.

        Raises: StateError: the process does not start.
        """
        with self._lock:
            process = self._process = self._process or _start()
            told = _ask(process, tail, column.encode())
            if not told:
                self._end()
            found = json.loads(told or b"null")
        return Declared(rows=found[0], tokens=found[1]) if found is not None else None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _start() -> "subprocess.Popen[bytes]":
    # -I: its own folder holds modules with names of the standard library's.
    process = subprocess.Popen(
        [sys.executable, "-I", str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    if process.stdout is None or process.stdout.readline() != b"ready\n":
        process.kill()
        process.communicate()
        raise StateError("the reader of Parquet footers does not start", where=PROGRAM, cure="Run: make setup")
    return process


def _ask(process: "subprocess.Popen[bytes]", tail: bytes, column: bytes) -> bytes:
    """Its answer; nothing where it died of the question."""
    if process.stdin is None or process.stdout is None:
        return b""
    try:
        process.stdin.write(b"".join([*(len(each).to_bytes(8, "little") for each in (tail, column)), tail, column]))
        process.stdin.flush()
    except BrokenPipeError:
        return b""
    told = process.stdout.readline()
    return told if told.endswith(b"\n") else b""

"""Whether two final answers are the same: read by our grammar here, compared by sympy in a process that can be ended.

sympy may take for ever, and integers of a tower of powers no signal interrupts; so the process is killed and made anew.
"""

import json
import os
import selectors
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

from yulan.data.synthesize.formula import Unread, read
from yulan.data.synthesize.tidy import tidy

SAME, DIFFERENT, UNREAD, TIME, UNPROVED = "same", "different", "unread", "time", "unproved"

PATIENCE = 30
"""Seconds of the clock to a second of processor time."""


class Algebra:
    """Compares answers, one at a time; close it, or use it in `with`."""

    def __init__(self, seconds: int) -> None:
        """`seconds`: processor time of a comparison, which the worker is ended for; a load on the machine changes no verdict."""
        self.seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def compare(self, answer: str, reference: str) -> str:
        """`same`, `different`, `unread` (one is no answer the grammar knows), `time`, or `unproved`: alike wherever tried."""
        if tidy(answer) and tidy(answer) == tidy(reference):
            return SAME
        try:
            trees = [read(answer), read(reference)]
        except (Unread, RecursionError):
            return UNREAD
        with self._turn:
            return self._asked(trees)

    def _asked(self, trees: list[Any]) -> str:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        process = self._process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        process.stdin.write(json.dumps(trees).encode() + b"\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            # The worker writes one short line at once; it waits for nothing, so this limit is a last resort.
            if not ready.select(PATIENCE * self.seconds):
                return self._gone(TIME)
        said = process.stdout.readline().decode().strip()
        return said or self._gone(TIME)

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "yulan.data.synthesize.worker", str(self.seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONHASHSEED": "0"},
        )
        # Its first line says that sympy is there; importing it is not what the limit is for.
        if process.stdout is not None:
            process.stdout.readline()
        return process

    def _gone(self, verdict: str) -> str:
        self.close()
        return verdict

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> "Algebra":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

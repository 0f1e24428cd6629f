"""Die with the parent: a killed `dvc repro`, stage or launcher leaves no process behind. And be asked to stop."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PR_SET_PDEATHSIG = 1


def ask_kernel() -> None:
    """SIGKILL this process when its parent dies. It survives exec, so a child can be armed before it runs anything."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with_parent() -> None:
    """Ask the kernel, then look whether the parent died meanwhile."""
    parent = os.getppid()
    ask_kernel()
    if os.getppid() != parent:
        os._exit(1)


@contextmanager
def stops(tell: Callable[[], None]) -> Iterator[list[int]]:
    """While the block runs SIGTERM and SIGINT only ask; the first one calls `tell`. Yields: the signals that came."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if not asked:
            tell()
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

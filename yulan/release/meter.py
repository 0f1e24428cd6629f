"""How far a transfer is: bytes, pace and the time that is left, in a line now and then."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

EVERY = 2.0
"""Seconds between lines."""
WINDOW = 15
"""Lines that the pace is taken over."""


class Meter:
    """Counts the bytes of several threads; `say` gets the lines."""

    def __init__(self, name: str, total: int, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.total, self.say, self.clock, self.lock = name, total, say, clock, Lock()
        self.done, self.wire = 0, 0
        self.recent = deque([(clock(), 0)], maxlen=WINDOW)

    def found(self, size: int) -> None:
        """Bytes that need not come; negative: that were thrown away."""
        with self.lock:
            self.done += size

    def add(self, size: int) -> None:
        """Bytes that came."""
        with self.lock:
            self.done += size
            self.wire += size
            if self.clock() - self.recent[-1][0] >= EVERY:
                self.tell()

    def tell(self) -> None:
        now = self.clock()
        began, wire = self.recent[0]
        pace = (self.wire - wire) / max(now - began, 1e-9)
        self.recent.append((now, self.wire))
        left = f", {_time((self.total - self.done) / pace)} left" if pace and self.done < self.total else ""
        self.say(f"{self.name}: {self.done:,} of {self.total:,} bytes, {pace / 1e6:,.1f} MB/s{left}")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"

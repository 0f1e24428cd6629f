"""How far a transfer is: bytes, rate and the time left, a line every few seconds."""

import time
from collections.abc import Callable
from threading import Lock

Say = Callable[[str], None]
EVERY = 5.0
"""Seconds between two lines."""


class Progress:
    """Of one transfer of known size; it may be told from several threads."""

    def __init__(self, what: str, total: int, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        """`total`: bytes."""
        self.what, self.total, self.say, self.clock = what, total, say, clock
        self.moved = 0
        """Bytes that went over the wire, those twice that were sent twice."""
        self._began = self._told = clock()
        self._lock = Lock()

    def add(self, count: int) -> None:
        """`count` more bytes went."""
        with self._lock:
            self.moved += count
            now = self.clock()
            if now - self._told < EVERY:
                return
            self._told = now
            self.say(self._line(now - self._began))

    def _line(self, seconds: float) -> str:
        done = min(self.moved, self.total)
        left = (self.total - done) * seconds / done if done else 0
        rate = self.moved / seconds / 1e6
        return f"{self.what}: {done:,} of {self.total:,} bytes, {rate:,.1f} MB/s, {duration(left)} left"


def duration(seconds: float) -> str:
    """`42 s`, `7 min 5 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

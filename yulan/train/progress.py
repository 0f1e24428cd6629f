"""What a person sees while ranks train: step, loss, tokens/s and the time that is left."""

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yulan.train.log import METRICS, TIMING

EVERY = 5.0
"""Seconds between lines."""
WINDOW = 20
"""Steps that tokens/s is taken over."""


class Tail:
    """New whole rows of a growing JSON-lines file; all of them again once another file takes its place."""

    def __init__(self, path: Path, *, only_new: bool = False) -> None:
        self.path, self.offset, self.inode = path, 0, 0
        if only_new and path.exists():
            self.offset, self.inode = path.stat().st_size, path.stat().st_ino

    def rows(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            if (inode := os.fstat(file.fileno()).st_ino) != self.inode:
                self.offset, self.inode = 0, inode
            file.seek(self.offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)


class Progress:
    """Follows a run folder's logs; `look` prints a line now and then."""

    def __init__(self, folder: Path, phase: str, steps: int) -> None:
        self.phase, self.done, self.steps = phase, 0, steps
        self.timing = Tail(folder / TIMING, only_new=True)
        self.metrics = Tail(folder / METRICS)
        self.recent: deque[tuple[float, int]] = deque(maxlen=WINDOW)
        self.loss: float | None = None
        self.said = time.monotonic()

    def look(self) -> None:
        fresh = list(self.timing.rows())
        self.recent.extend((row["seconds"], row["tokens"]) for row in fresh)
        for row in self.metrics.rows():
            self.done, self.loss = row["phase_step"], row["loss"]
        now = time.monotonic()
        if fresh and (now - self.said >= EVERY or self.done == self.steps):
            self.said = now
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        seconds = sum(each for each, _ in self.recent)
        rate = sum(tokens for _, tokens in self.recent) / seconds
        left = round((self.steps - self.done) * seconds / len(self.recent))
        loss = "not finite" if self.loss is None else f"{self.loss:.3f}"
        step = f"step {self.done}/{self.steps}"
        return f"{self.phase}  {step}  loss {loss}  {rate:,.0f} tokens/s  ETA {left // 60}:{left % 60:02d}"

"""Trainers in processes of their own that take turns step by step: only who holds the baton works.

A trainer's lead rank calls `Baton.step` at the end of each step; the other ranks wait for it in their next collective.
"""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.bench.ranks import command, environment

CLOCK = "YULAN_BENCH_CLOCK"
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
"""On a machine that others use too, a process's own time says more; waiting for other ranks is not in it."""
START = 180
"""Seconds that a trainer may take to its first step."""


class Baton:
    """A trainer's end of the line."""

    def __init__(self, folder: Path) -> None:
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(folder / "baton"))
        self.line = line.makefile("rw")
        self.clock = CLOCKS[os.environ[CLOCK]]
        self.began = self.clock()

    def step(self) -> None:
        """Tell the step's seconds and wait for the next turn; when there is none, this process ends."""
        self.line.write(f"{self.clock() - self.began}\n")
        self.line.flush()
        if not self.line.readline():
            os._exit(0)
        self.began = self.clock()


class Trainer:
    """A trainer under torchrun, and the other end of the line. When this is made, it has made its first step and waits."""

    def __init__(self, folder: Path, module: str, ranks: int, clock: str) -> None:
        folder.mkdir()
        self.output = folder / "output"
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(folder / "baton"))
        server.listen()
        server.settimeout(1.0)
        own = environment(**{CLOCK: clock})
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command(module, ranks, str(folder)),
                env=own,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        for _ in range(START):
            try:
                self.line = server.accept()[0].makefile("rw")
                break
            except TimeoutError:
                if self.process.poll() is not None:
                    break
        else:
            self.end()
        if not hasattr(self, "line"):
            raise RuntimeError(f"{module} did not start:\n{self.output.read_text()[-2000:]}")
        self.first = self._told()

    def step(self) -> float:
        """Seconds of one more step."""
        self.line.write("\n")
        self.line.flush()
        return self._told()

    def _told(self) -> float:
        told = self.line.readline()
        if not told:
            raise RuntimeError(f"a trainer ended:\n{self.output.read_text()[-2000:]}")
        return float(told)

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()

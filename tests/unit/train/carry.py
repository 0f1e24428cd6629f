"""Carry a checkpoint about and tell the memory it took: `python carry.py CHECKPOINT INTO`; prints JSON, bytes of each act."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from yulan.train.checkpoint import compare, incoming, outgoing, read, stream
from yulan.train.checkpoint.shrink import shrink

for module in (stream, compare):
    module.BUFFER = 1 << 18
ANONYMOUS = "RssAnon:"
"""What a process holds by itself; pages mapped from files are the kernel's to drop."""


def held() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(ANONYMOUS)).split()[1])


def peak(work: Callable[[], object]) -> int:
    """Largest growth while it runs, looked at every millisecond."""
    begin, most, done = held(), 0, threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.001):
            most = max(most, held() - begin)

    thread = threading.Thread(target=look)
    thread.start()
    work()
    done.set()
    thread.join()
    return most


def main() -> None:
    checkpoint, into = Path(sys.argv[1]), Path(sys.argv[2])
    opened = read.read_checkpoint(checkpoint)
    state = replace(opened.state, trajectory="CLOSE")

    def take_in() -> None:
        incoming.take_in(incoming.find(into / "universal"), state, opened.model, into / "in")

    told = {}
    for name, work in {
        "shrink": lambda: shrink(checkpoint, into / "bf16", "bf16"),
        "diff": lambda: compare.diff(checkpoint, into / "bf16"),
        "universal": lambda: outgoing.export(checkpoint, into / "universal", "universal"),
        "dcp": lambda: outgoing.export(checkpoint, into / "dcp", "dcp"),
        "hf-trainer": lambda: outgoing.export(checkpoint, into / "hf", "hf-trainer"),
        "import": take_in,
    }.items():
        told[name] = peak(work)
    print(json.dumps(told))


if __name__ == "__main__":
    main()

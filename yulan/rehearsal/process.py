"""A hub in a process of its own, for tests and for rehearsing a release."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yulan.errors import HubError


@dataclass(frozen=True, kw_only=True, slots=True)
class Hub:
    url: str
    token: str
    """May read and write."""
    read_token: str
    pid: int


@contextmanager
def running_hub(root: Path, port: int = 0) -> Iterator[Hub]:
    """Start a hub on loopback, wait until it listens, stop it by its process id.

    Raises: HubError: it did not start.
    """
    command = [sys.executable, "-m", "yulan.rehearsal", str(root), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("listening on "):
            raise HubError("the rehearsal hub did not start", where=root, cure="Start it by hand to see why: yulan hub serve")
        tokens = ((root / name).read_text().strip() for name in ("token", "token-read"))
        yield Hub(url=line.split()[-1], token=next(tokens), read_token=next(tokens), pid=process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

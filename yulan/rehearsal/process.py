"""A hub in a process of its own, for tests and for rehearsing a release."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from yulan.errors import HubError
from yulan.rehearsal.limits import Limits
from yulan.rehearsal.store import TOKENS


@dataclass(frozen=True, kw_only=True, slots=True)
class Hub:
    url: str
    token: str
    """May read and write."""
    read_token: str
    pid: int
    stranger_token: str | None = None
    """Of another user, who may read what is public."""


@contextmanager
def running_hub(root: Path, port: int = 0, limits: Limits | None = None) -> Iterator[Hub]:
    """Start a hub on loopback, wait until it listens, stop it by its process id. Its log is this process's stderr.

    Raises: HubError: it did not start.
    """
    command = [sys.executable, "-m", "yulan.rehearsal", str(root), "--port", str(port)]
    command += [f"--{name}={value}" for name, value in asdict(limits or Limits()).items() if value is not None]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("listening on "):
            raise HubError("the rehearsal hub did not start", where=root, cure="Start it by hand to see why: yulan hub serve")
        token, read, stranger = ((root / name).read_text().strip() for name in TOKENS)
        yield Hub(url=line.split()[-1], token=token, read_token=read, stranger_token=stranger, pid=process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

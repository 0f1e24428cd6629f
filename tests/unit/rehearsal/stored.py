"""What lies under a hub's root, read and re-hashed without the hub; and hubs that kill themselves."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from yulan import digest
from yulan.rehearsal.commits import Commit
from yulan.rehearsal.repo import COMMIT

State = dict[str, dict[str, dict[str, str]]]
"""Repo -> ref -> path -> sha256."""


def whole(root: Path) -> State:
    """Everything that refs lead to. Fails if a commit, an object or a byte of one is not what its name says."""
    state: State = {}
    for settings in sorted((root / "repos").glob("*/*/*/repo.json")):
        refs = json.loads((settings.parent / "refs.json").read_bytes())
        for id in refs.values():
            history(settings.parent, id)
        tips = {ref: read(settings.parent, id).tree for ref, id in refs.items()}
        for entry in {entry.sha256: entry for tree in tips.values() for entry in tree.values()}.values():
            path = root / "objects" / entry.sha256[:2] / entry.sha256[2:]
            assert (digest.of_file(path), path.stat().st_size) == (entry.sha256, entry.size)
        name = str(settings.parent.relative_to(root / "repos"))
        state[name] = {ref: {path: entry.sha256 for path, entry in tree.items()} for ref, tree in tips.items()}
    assert not list(root.rglob("*.partial"))
    return state


def read(repo: Path, id: str) -> Commit:
    assert COMMIT.fullmatch(id)
    commit = Commit.from_json(json.loads((repo / "commits" / f"{id}.json").read_bytes()))
    assert commit.id == id
    return commit


def history(repo: Path, id: str) -> list[str]:
    """Ids from the newest back, along first parents."""
    ids = [id]
    while parents := read(repo, ids[-1]).parents:
        ids.append(parents[0])
    return ids


SERVERS = """
import os, signal, sys
from pathlib import Path
import uvicorn
from yulan import files
from yulan.rehearsal import app, store
from yulan.rehearsal.serve import serve

for line in sys.stdin:
    point, root = line.split(" ", 1)
    if os.fork() == 0:
        left = [int(point)]
        def observe(_):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        files.observers.append(observe)
        serve(Path(root.strip()), 0)
        os._exit(0)
    os.wait()
    print("ended", flush=True)
"""


class Mortal:
    """Starts hubs in forks of one warm process: a hub ends itself right after the POINTth thing that it does to the disk."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = ""

    def start(self, root: Path, point: int = 0) -> None:
        """`point` 0: it lives until `stop`."""
        self.process.stdin.write(f"{point} {root}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        self.url = line.split()[-1] if line.startswith("listening") else ""

    def ended(self) -> None:
        assert self.process.stdout.readline() == "ended\n"

    def ask(self, token: str, method: str, path: str, body: bytes | dict | None = None) -> dict:
        """Raises: OSError, http.client.HTTPException: the hub died. AssertionError: it refused."""
        link = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        link.request(method, path, data, {"Authorization": f"Bearer {token}"})
        answer = link.getresponse()
        told = answer.read()
        assert answer.status == 200, told
        return json.loads(told) if told.startswith(b"{") else {}


@contextmanager
def mortal() -> Iterator[Mortal]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield Mortal(process)
    finally:
        process.stdin.close()
        # A hub whose test failed is a fork, and outlives its parent.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()

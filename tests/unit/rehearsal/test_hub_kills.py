"""SIGKILL after each thing that a hub does to its disk, and in a crowd: what was answered is there, the rest is not."""

import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.rehearsal.stored import Mortal, history, mortal, whole
from yulan import digest
from yulan.rehearsal import running_hub

REPO = "/api/models/a/b"
Act = Callable[[Mortal, str], None]


@pytest.fixture(scope="module")
def hubs() -> Iterator[Mortal]:
    with mortal() as servers:
        yield servers


def lines(*operations: dict, **header: str) -> bytes:
    rows = [{"key": "header", "value": {"summary": "s", **header}}, *operations]
    return "\n".join(json.dumps(row) for row in rows).encode()


def text(path: str, content: str) -> dict:
    return {"key": "file", "value": {"path": path, "content": content}}


def large(hub: Mortal, token: str, data: bytes) -> dict:
    """Send an object, and say how a commit names it."""
    known = {"oid": digest.of_bytes(data), "size": len(data)}
    answer = hub.ask(token, "POST", "/a/b.git/info/lfs/objects/batch", {"operation": "upload", "objects": [known]})
    for action in answer["objects"][0].get("actions", {}).values():
        hub.ask(token, "PUT", action["href"].removeprefix(hub.url), data)
    return {"key": "lfsFile", "value": {"path": "w.bin", "algo": "sha256", **known}}


def commit(hub: Mortal, token: str) -> None:
    rows = (text("one.txt", "new"), text("d/two.txt", "two"), large(hub, token, b"\0" * 5000))
    hub.ask(token, "POST", f"{REPO}/commit/main", lines(*rows))


def create(hub: Mortal, token: str) -> None:
    hub.ask(token, "POST", "/api/repos/create", {"organization": "a", "name": "c", "private": True})


def branch(hub: Mortal, token: str) -> None:
    hub.ask(token, "POST", f"{REPO}/branch/phase-01", {"emptyBranch": True, "overwrite": True})


def pull(hub: Mortal, token: str) -> None:
    hub.ask(token, "POST", f"{REPO}/commit/main?create_pr=1", lines(text("pulled.txt", "p")))


def merge(hub: Mortal, token: str) -> None:
    if hub.ask(token, "GET", f"{REPO}/discussions/1")["status"] != "merged":
        hub.ask(token, "POST", f"{REPO}/discussions/1/merge", b"")


def squash(hub: Mortal, token: str) -> None:
    hub.ask(token, "POST", f"{REPO}/super-squash/main", {})


def forget(hub: Mortal, token: str) -> None:
    hub.ask(token, "POST", f"{REPO}/lfs-files/batch", {"deletions": {"sha": [digest.of_bytes(b"\0old")], "rewriteHistory": True}})


def move(hub: Mortal, token: str) -> None:
    hub.ask(token, "POST", "/api/repos/move", {"fromRepo": "a/b", "toRepo": "a/new", "type": "model"})


def delete(hub: Mortal, token: str) -> None:
    hub.ask(token, "DELETE", "/api/repos/delete", {"organization": "a", "name": "b", "type": "model"})


@pytest.fixture(scope="module")
def before(hubs: Mortal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one repo, which has a text, a large file and a pull request."""
    root = tmp_path_factory.mktemp("before") / "root"
    hubs.start(root)
    token = (root / "token").read_text().strip()
    hubs.ask(token, "POST", "/api/repos/create", {"organization": "a", "name": "b"})
    hubs.ask(token, "POST", f"{REPO}/commit/main", lines(text("one.txt", "old"), large(hubs, token, b"\0old")))
    hubs.ask(token, "POST", f"{REPO}/commit/main?create_pr=1", lines(text("three.txt", "3")))
    stop(hubs, root)
    return root


def stop(hubs: Mortal, root: Path) -> None:
    """End the hub that serves a root, which tells of itself by its lock alone."""
    port = int(hubs.url.rpartition(":")[2])
    children = Path(f"/proc/{hubs.process.pid}/task/{hubs.process.pid}/children").read_text().split()
    assert len(children) == 1, (port, root)
    os.kill(int(children[0]), signal.SIGTERM)
    hubs.ended()


@pytest.mark.slow
@pytest.mark.parametrize("act", [commit, create, branch, pull, merge, squash, forget, move, delete])
def test_a_kill_at_any_point_leaves_the_old_state_or_the_new(hubs: Mortal, before: Path, tmp_path: Path, act: Act):
    token, old, found = (before / "token").read_text().strip(), whole(before), Counter[str]()
    after = tmp_path / "after"
    shutil.copytree(before, after)
    hubs.start(after)
    act(hubs, token)
    stop(hubs, after)
    new = whole(after)
    for point in range(1, 200):
        root = tmp_path / str(point)
        shutil.copytree(before, root)
        hubs.start(root, point)
        try:
            act(hubs, token)
        except (OSError, http.client.HTTPException):
            hubs.ended()
        else:
            # The answer is sent before the hub is told to stop, so what it says must hold.
            stop(hubs, root)
            assert whole(root) == new
            break
        hubs.start(root)
        state = whole(root)
        found["old" if state == old else "new" if state == new else str(state)] += 1
        if state == old or act in {commit, branch, squash, merge, forget}:
            act(hubs, token)
            assert whole(root) == new
        stop(hubs, root)
        shutil.rmtree(root)
    else:
        pytest.fail("the act never came to its end")
    assert set(found) <= {"old", "new"}, found
    assert sum(found.values()) > 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_kill_in_a_crowd_loses_no_commit_that_was_answered(hubs: Mortal, tmp_path: Path, seed: int):
    root, moment, answered = tmp_path / "root", random.Random(seed).uniform(0.05, 0.8), []
    with running_hub(root) as hub:
        link = Mortal(hubs.process)
        link.url = hub.url
        link.ask(hub.token, "POST", "/api/repos/create", {"organization": "a", "name": "b"})

        def keep_on(worker: int) -> None:
            for n in range(1000):
                name = f"{worker}/{n}"
                rows = (text(f"{name}.txt", name), {**large(link, hub.token, f"\0{name}".encode())})
                rows[1]["value"]["path"] = f"{name}.bin"
                answered.append((name, link.ask(hub.token, "POST", f"{REPO}/commit/main", lines(*rows))["commitOid"]))

        def until_dead(worker: int) -> None:
            try:
                keep_on(worker)
            except (OSError, http.client.HTTPException):
                return

        crowd = [threading.Thread(target=until_dead, args=(worker,)) for worker in range(4)]
        for each in crowd:
            each.start()
        while not answered:
            time.sleep(0.01)
        time.sleep(moment)
        os.kill(hub.pid, signal.SIGKILL)
        for each in crowd:
            each.join()
    with running_hub(root):
        main = whole(root)["models/a/b"]["refs/heads/main"]
    folder = root / "repos/models/a/b"
    kept = history(folder, json.loads((folder / "refs.json").read_bytes())["refs/heads/main"])
    assert {id for _, id in answered} <= set(kept)
    assert len(main) == 1 + 2 * (len(kept) - 1)
    assert all({f"{name}.txt", f"{name}.bin"} <= main.keys() for name, _ in answered)


CLIENT = """
import json, sys
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
api, worker, careful = HfApi(), sys.argv[1], sys.argv[2] == "1"
told = []
for n in range(5):
    name = f"{worker}-{n}"
    while True:
        seen = api.model_info("a/b").sha if careful else None
        add = [CommitOperationAdd(f"{name}.txt", name.encode()), CommitOperationAdd(f"{name}.bin", b"\\0" + name.encode())]
        try:
            told.append(api.create_commit("a/b", add, commit_message=name, parent_commit=seen).oid)
            break
        except HfHubHTTPError as error:
            if error.response.status_code != 412:
                raise
print(json.dumps(told))
"""


@pytest.mark.slow
def test_processes_that_commit_at_once_lose_nothing(tmp_path: Path):
    root = tmp_path / "root"
    with running_hub(root) as hub:
        hubs_api = Mortal(None)
        hubs_api.url = hub.url
        hubs_api.ask(hub.token, "POST", "/api/repos/create", {"organization": "a", "name": "b"})
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        env |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        crowd = [
            subprocess.Popen([sys.executable, "-c", CLIENT, str(n), str(n % 2)], env=env, stdout=subprocess.PIPE, text=True)
            for n in range(4)
        ]
        told = [json.loads(each.communicate(timeout=300)[0].splitlines()[-1]) for each in crowd]
    folder = root / "repos/models/a/b"
    kept = history(folder, json.loads((folder / "refs.json").read_bytes())["refs/heads/main"])
    assert len(kept) == 21
    assert {id for row in told for id in row} == set(kept[:-1])
    assert len(whole(root)["models/a/b"]["refs/heads/main"]) == 41

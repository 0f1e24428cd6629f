"""Repositories of others, made for the test and put on a rehearsal hub with the stock client; some have one planted fault."""

import json
import os
import struct
from pathlib import Path

import huggingface_hub as stock

from yulan.rehearsal import Hub as Served
from yulan.rehearsal.commits import large, small
from yulan.rehearsal.repo import HEADS
from yulan.rehearsal.store import Store
from yulan.release.audit.asked import Asked
from yulan.release.audit.run import audit
from yulan.release.audit.survey import Survey, look
from yulan.release.hub import Hub
from yulan.release.names import Repo

CARD = b"---\nlicense: mit\n---\n# A model\nSee [its settings](config.json).\n"
Files = dict[str, bytes]


def tensors(**values: list[float]) -> bytes:
    """A safetensors file of fp32."""
    table, body = {}, b""
    for name, numbers in values.items():
        raw = struct.pack(f"<{len(numbers)}f", *numbers)
        table[name] = {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    head = json.dumps(table).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + body


def step(number: int) -> Files:
    return {"model.safetensors": tensors(w=[float(number)] * 64), "config.json": b'{"model_type": "llama"}'}


def clean() -> dict[str, Files]:
    """A series of checkpoints as Pythia names them; `main` is the last."""
    made = {f"step{number}": step(number) | {"README.md": CARD, "LICENSE": b"MIT\n"} for number in (0, 1000, 2000)}
    return {"main": made["step2000"], **made}


def asked(hub: Served) -> Asked:
    return Asked(Hub(hub.url, hub.token))


def surveyed(hub: Served, repo: Repo, *, deep: bool = False) -> Survey:
    return look(asked(hub), repo, deep=deep)


def serve(hub: Served, name: str, revisions: dict[str, Files], kind: str = "model") -> Repo:
    """Put a repository there with the stock client, each branch from nothing."""
    api = stock.HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(name, repo_type=kind)
    ours = Hub(hub.url, hub.token)
    repo = Repo(id=name, part="data" if kind == "dataset" else "model")
    for branch, files in revisions.items():
        if branch != "main":
            ours.branch(repo, branch)
        operations = [stock.CommitOperationAdd(path, data) for path, data in files.items()]
        api.create_commit(name, operations, commit_message="x", revision=branch, repo_type=kind)
    return repo


def findings(hub: Served, name: str, revisions: dict[str, Files]) -> dict[str, str]:
    """What an audit found, by rule: severity, place and sentence."""
    found = audit(surveyed(hub, serve(hub, name, revisions))).findings
    return {each.id: f"{each.severity} {each.where} {each.what}" for each in found}


def lay(root: Path, name: str, revisions: dict[str, Files], also_large: str = ".pt") -> Repo:
    """Put a repository into the storage of a hub that does not run yet: many commits take seconds, not minutes."""
    store = Store(root)
    repo = store.repo("model", name)
    repo.create(private=False)
    for branch, files in revisions.items():
        tree = {}
        for path, data in files.items():
            sha = store.objects.put(data)
            tree[path] = large(sha, len(data)) if path.endswith((".safetensors", ".pt", ".bin", also_large)) else small(data)
        if branch != "main":
            repo.add_branch(branch, start=None, empty=True, overwrite=False)
        repo.add_commit(f"{HEADS}{branch}", lambda _, tree=tree: tree, title="x", message="")  # type: ignore[misc]
    os.close(store._held)
    return Repo(id=name, part="model")

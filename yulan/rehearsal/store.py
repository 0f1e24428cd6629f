"""Everything under the hub's root: objects, repositories, tokens. One process holds it at a time."""

import os
import re
import secrets
import threading
from pathlib import Path

from yulan import digest, files
from yulan.rehearsal.objects import Objects
from yulan.rehearsal.refused import Refused
from yulan.rehearsal.repo import Repo
from yulan.rehearsal.xet import Xet

KINDS = ("model", "dataset")
NAME = re.compile(r"(?!.*(?:--|\.\.|\.git$))[A-Za-z0-9_](?:[\w.-]{0,94}[\w])?", re.ASCII)
TOKENS = {"write": "token", "read": "token-read"}
"""Scope -> file name under the root."""


class Store:
    """Raises: StateError: another hub serves the same root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held = files.lock(root / "lock")
        for left_by_a_kill in list(root.rglob(f".*{files.PARTIAL}")):
            files.remove(left_by_a_kill)
        self.objects = Objects(root / "objects")
        self.xet = Xet(root / "xet")
        self.tokens = {_token(root / name): scope for scope, name in TOKENS.items()}
        self._repos: dict[tuple[str, str], Repo] = {}
        self.lock = threading.Lock()

    def scope(self, token: str) -> str | None:
        """`write`, `read`, or None for a token that this hub did not make."""
        return next((scope for known, scope in self.tokens.items() if digest.same(known, token)), None)

    @property
    def signing_key(self) -> bytes:
        return next(token for token, scope in self.tokens.items() if scope == "write").encode()

    def repo(self, kind: str, id: str) -> Repo:
        """The one object of a repo, whether it exists or not: its lock is what serialises changes."""
        if kind not in KINDS or not all(NAME.fullmatch(part) for part in id.split("/")) or id.count("/") != 1:
            raise Refused(400, f"Not a legal repository: {kind!a} {id!a}")
        with self.lock:
            return self._repos.setdefault((kind, id), Repo(self.root / "repos" / f"{kind}s" / id, kind, id, self.objects))

    def repos(self, kind: str) -> list[Repo]:
        """Sorted by id."""
        folders = (self.root / "repos" / f"{kind}s").glob("*/*/repo.json")
        return [self.repo(kind, f"{path.parent.parent.name}/{path.parent.name}") for path in sorted(folders)]


def _token(path: Path) -> str:
    """Read a token, or make one that only its owner can read."""
    if not path.exists():
        with files.open_new(path, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(f"hf_{secrets.token_urlsafe(24)}\n")
    return path.read_text().strip()

"""Everything under the hub's root: objects, repositories, tokens. One process holds it at a time."""

import json
import os
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from yulan import digest, files
from yulan.rehearsal.objects import Objects
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.repo import AUTHOR, Repo
from yulan.rehearsal.xet import Xet

MOVED = "moved.json"
KINDS = ("model", "dataset")
NAME = re.compile(r"(?!.*(?:--|\.\.|\.git$))[A-Za-z0-9_](?:[\w.-]{0,94}[\w])?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Whose a token is, and what it may."""

    user: str
    scope: str
    """`write` or `read`."""


TOKENS = {
    "token": Holder(user=AUTHOR, scope="write"),
    "token-read": Holder(user=AUTHOR, scope="read"),
    "token-stranger": Holder(user="stranger", scope="read"),
}
"""File under the root -> its token's holder. Every namespace is the author's; the stranger is somebody else who is logged in."""


class Store:
    """Raises: StateError: another hub serves the same root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held = files.lock(root / "lock")
        for left_by_a_kill in list(root.rglob(f".*{files.PARTIAL}")):
            files.remove(left_by_a_kill)
        self.objects = Objects(root / "objects")
        self.xet = Xet(root / "xet")
        self.tokens = {_token(root / name): holder for name, holder in TOKENS.items()}
        self._repos: WeakValueDictionary[tuple[str, str], Repo] = WeakValueDictionary()
        self.lock = threading.Lock()
        self.joining = threading.Lock()
        """Held while parts become an object: two clients may send the same one."""

    def holder(self, token: str) -> Holder | None:
        """None for a token that this hub did not make."""
        return next((holder for known, holder in self.tokens.items() if digest.same(known, token)), None)

    @property
    def signing_key(self) -> bytes:
        return next(iter(self.tokens)).encode()

    def repo(self, kind: str, id: str) -> Repo:
        """The one object of a repo, whether it exists or not: its lock is what serialises changes."""
        if kind not in KINDS or not all(NAME.fullmatch(part) for part in id.split("/")) or id.count("/") != 1:
            raise Refused(400, f"Not a legal repository: {kind!a} {id!a}")
        with self.lock:
            return self._repos.setdefault((kind, id), Repo(self.root / "repos" / f"{kind}s" / id, kind, id, self.objects))

    def move(self, kind: str, old: str, new: str) -> None:
        """Raises: Refused: 404 there is none of this name, 409 the new one is taken."""
        source, target = self.repo(kind, old), self.repo(kind, new)
        first, second = sorted((source, target), key=lambda repo: repo.id)
        with first.lock, second.lock, self.lock:
            if not source.exists:
                raise missing("repo", "Repository not found")
            if target.exists:
                raise Refused(409, "A repository of this name exists")
            files.remove(target.folder)
            files.write_json(self.root / MOVED, {**self._moved(), f"{kind}s/{old}": new})
            files.make_folder(target.folder.parent)
            files.move(source.folder, target.folder)

    def _moved(self) -> dict[str, str]:
        path = self.root / MOVED
        return json.loads(path.read_bytes()) if path.exists() else {}

    def moved(self, repo: Repo) -> str | None:
        """The name that a repo which is not here any more was given."""
        return self._moved().get(f"{repo.kind}s/{repo.id}")

    def forget(self, sha256: str) -> None:
        """Delete an object for good."""
        self.xet.forget(sha256)
        files.remove(self.objects.path(sha256))

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

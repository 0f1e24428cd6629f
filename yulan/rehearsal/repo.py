"""One repository on disk: immutable commits, and one file of refs whose replacement is every change's only moment."""

import json
import re
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from yulan import files
from yulan.rehearsal.commits import Commit, Entry, now, small
from yulan.rehearsal.objects import Objects
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.tree import GITATTRIBUTES, LFS, fits, untracked

MAIN = "refs/heads/main"
HEADS, TAGS, PULLS = "refs/heads/", "refs/tags/", "refs/pr/"
COMMIT = re.compile(r"[0-9a-f]{40}")
REF_NAME = re.compile(r"(?!/|.*//|.*\.\.|.*@\{|.*\.lock$|.*/\.|\.)[\w./@+-]{1,200}(?<![/.])")
ODD = re.compile(r"[^-\w./+]")
AUTHOR = "rehearsal"


@lru_cache(maxsize=256)
def _load(path: Path) -> Commit:
    return Commit.from_json(json.loads(path.read_bytes()))


class Repo:
    """`kind` is `model` or `dataset`; `id` is `namespace/name`."""

    def __init__(self, folder: Path, kind: str, id: str, objects: Objects) -> None:
        self.folder, self.kind, self.id, self.objects = folder, kind, id, objects
        self.lock = threading.RLock()

    @property
    def exists(self) -> bool:
        return (self.folder / "repo.json").is_file()

    def create(self, *, private: bool) -> None:
        """The settings are written last: a repo that a kill left half made does not exist."""
        self.objects.put(GITATTRIBUTES)
        first = self._write(Commit(**_signed("initial commit"), parents=(), tree={".gitattributes": small(GITATTRIBUTES)}))
        self._write_refs({MAIN: first})
        self.settings = {"private": private, "gated": False, "created": now()}

    def delete(self) -> None:
        files.remove(self.folder / "repo.json")
        files.remove(self.folder)

    @property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads((self.folder / "repo.json").read_bytes())
        return settings

    @settings.setter
    def settings(self, value: dict[str, Any]) -> None:
        files.write_json(self.folder / "repo.json", value)

    def refs(self) -> dict[str, str]:
        """Full name -> commit id."""
        refs: dict[str, str] = json.loads((self.folder / "refs.json").read_bytes())
        return refs

    def _write_refs(self, refs: Mapping[str, str]) -> None:
        files.write_json(self.folder / "refs.json", dict(refs))

    def _write(self, commit: Commit) -> str:
        files.write_json(self.folder / "commits" / f"{commit.id}.json", commit.to_json())
        return commit.id

    def commit(self, id: str) -> Commit:
        return _load(self.folder / "commits" / f"{id}.json")

    def resolve(self, revision: str) -> str:
        """Commit id of a branch, a tag, a full ref or a commit id."""
        refs = self.refs()
        for name in (HEADS + revision, TAGS + revision, revision):
            if name in refs:
                return refs[name]
        if COMMIT.fullmatch(revision) and (self.folder / "commits" / f"{revision}.json").is_file():
            return revision
        raise missing("revision", f"Invalid rev id: {revision}")

    def history(self, id: str) -> list[tuple[str, Commit]]:
        """A commit and its first parents, newest first."""
        rows = []
        while True:
            commit = self.commit(id)
            rows.append((id, commit))
            if not commit.parents:
                return rows
            id = commit.parents[0]

    def branch(self, revision: str) -> str:
        """Full name of the branch or pull request that a commit can be added to."""
        refs = self.refs()
        for name in (HEADS + revision, revision):
            if name in refs and name.startswith((HEADS, PULLS)):
                return name
        raise missing("revision", f"Invalid rev id: {revision}")

    def add_commit(
        self,
        ref: str,
        change: Callable[[dict[str, Entry]], dict[str, Entry]],
        *,
        title: str,
        message: str,
        parent: str | None = None,
        merged: str | None = None,
    ) -> str:
        """Put one commit on top of `ref`; `change` maps the head's tree to the new one.

        `parent` is the head that the client saw, `merged` a second parent. Commits to one repo take turns.
        Raises: Refused: 412 where the head is another one than `parent`.
        """
        with self.lock:
            refs = self.refs()
            if ref not in refs:
                raise missing("revision", f"Invalid rev id: {ref}")
            if parent is not None and refs[ref] != parent:
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
            tree = self._tracked(change(dict(self.commit(refs[ref]).tree)))
            fits(tree)
            parents = (refs[ref],) if merged is None else (refs[ref], merged)
            new = self._write(Commit(**_signed(title, message), parents=parents, tree=tree))
            self._write_refs({**refs, ref: new})
            return new

    def _tracked(self, tree: dict[str, Entry]) -> dict[str, Entry]:
        """Name every large file in .gitattributes, as the hub does."""
        old = tree.get(".gitattributes")
        text = self.objects.path(old.sha256).read_bytes() if old else b""
        added = "".join(f"{ODD.sub('?', path)} {LFS}\n" for path in untracked(text, tree))
        if not added:
            return tree
        text += (b"" if text.endswith(b"\n") or not text else b"\n") + added.encode()
        self.objects.put(text)
        return {**tree, ".gitattributes": small(text)}

    def add_branch(self, name: str, *, start: str | None, empty: bool, overwrite: bool) -> None:
        """A branch at `start` (main where it is None), or on a root commit of its own without any file."""
        with self.lock:
            refs, ref = self.refs(), HEADS + legal(name)
            if ref in refs and not overwrite:
                raise Refused(409, f"Reference already exists: {ref}")
            if empty:
                head = self._write(Commit(**_signed("initial commit"), parents=(), tree={}))
            else:
                head = self.resolve(start or "main")
            self._write_refs({**refs, ref: head})

    def add_tag(self, name: str, revision: str) -> None:
        with self.lock:
            refs, ref = self.refs(), TAGS + legal(name)
            if ref in refs:
                raise Refused(409, f"Reference already exists: {ref}")
            self._write_refs({**refs, ref: self.resolve(revision)})

    def add_pull(self, number: int, start: str) -> str:
        with self.lock:
            ref = f"{PULLS}{number}"
            self._write_refs({**self.refs(), ref: start})
            return ref

    def remove_ref(self, ref: str) -> None:
        with self.lock:
            refs = self.refs()
            if ref == MAIN:
                raise Refused(403, "The branch main cannot be deleted")
            if refs.pop(ref, None) is None:
                raise missing("revision", f"Reference does not exist: {ref}")
            self._write_refs(refs)


def legal(name: str) -> str:
    """Raises: Refused: not a name that git would take."""
    if not REF_NAME.fullmatch(name):
        raise Refused(400, f"Not a legal name of a branch or tag: {name!a}")
    return name


def _signed(title: str, message: str = "") -> dict[str, Any]:
    return {"title": title, "message": message, "date": now(), "author": AUTHOR}

"""One repository on disk: immutable commits, and one file of refs whose replacement is every change's only moment."""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
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
        """The settings are written last: a repo that a kill left half made, or half deleted, does not exist."""
        files.remove(self.folder)
        self.objects.put(GITATTRIBUTES)
        first = self._write(Commit(**_signed("initial commit"), parents=(), tree={".gitattributes": small(GITATTRIBUTES)}))
        self._write_refs({MAIN: first})
        self.settings = {"private": private, "gated": False, "created": now()}

    def create_from(self, other: "Repo", *, private: bool) -> None:
        """Begin with another repo's branches, tags and history."""
        self.create(private=private)
        with other.lock:
            for commit in other.commits():
                self._write(commit)
            self._write_refs({ref: id for ref, id in other.refs().items() if not ref.startswith(PULLS)})

    def delete(self) -> None:
        # In this order, so that a kill leaves a folder that counts as no repo.
        files.remove(self.folder / "repo.json")
        files.remove(self.folder)

    @property
    def settings(self) -> dict[str, Any]:
        return self._read("repo.json")

    @settings.setter
    def settings(self, value: dict[str, Any]) -> None:
        files.write_json(self.folder / "repo.json", value)

    def refs(self) -> dict[str, str]:
        """Full name -> commit id."""
        return self._read("refs.json")

    def _read(self, name: str) -> dict[str, Any]:
        """Raises: Refused: the repo was deleted meanwhile."""
        try:
            value: dict[str, Any] = json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            raise missing("repo", "Repository not found") from None
        return value

    @property
    def access(self) -> dict[str, dict[str, str]]:
        """User -> `status` and `timestamp` of a request for a gated repo."""
        return self.settings.get("access", {})

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
        start: str | None = None,
    ) -> str:
        """Put one commit on top of `ref`; `change` maps the head's tree to the new one.

        `parent` is the head that the client saw, `merged` a second parent, `start` the head of a ref that is not there yet.
        Commits to one repo take turns.
        Raises: Refused: 412 where the head is another one than `parent`.
        """
        with self.lock:
            refs = self.refs()
            head = refs.get(ref, start)
            if head is None:
                raise missing("revision", f"Invalid rev id: {ref}")
            if parent is not None and head != parent:
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
            tree = self._tracked(change(dict(self.commit(head).tree)))
            fits(tree)
            parents = (head,) if merged is None else (head, merged)
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

    def squash(self, branch: str, message: str) -> str:
        """Make the branch's tree its only commit."""
        with self.lock:
            ref, refs = self.branch(branch), self.refs()
            new = self._write(Commit(**_signed(message), parents=(), tree=self.commit(refs[ref]).tree))
            self._write_refs({**refs, ref: new})
            return new

    def rewrite(self, change: Callable[[dict[str, Entry]], dict[str, Entry]]) -> dict[str, str]:
        """Give every commit of every ref the tree that `change` makes of its own. Returns: old id -> new id.

        The old commits stay on the disk until `drop`.
        """
        with self.lock:
            refs, new = self.refs(), dict[str, str]()
            open_ids = list(refs.values())
            while open_ids:
                id = open_ids[-1]
                commit = self.commit(id)
                if before := [parent for parent in commit.parents if parent not in new]:
                    open_ids += before
                    continue
                open_ids.pop()
                parents = tuple(new[parent] for parent in commit.parents)
                new[id] = self._write(replace(commit, parents=parents, tree=change(commit.tree)))
            self._write_refs({ref: new[id] for ref, id in refs.items()})
            return new

    def drop(self, ids: Iterable[str]) -> None:
        for id in ids:
            files.remove(self.folder / "commits" / f"{id}.json")

    def commits(self) -> Iterator[Commit]:
        """Every commit on the disk, also those that no ref leads to."""
        return (self.commit(path.stem) for path in sorted((self.folder / "commits").glob("*.json")))

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

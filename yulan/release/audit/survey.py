"""A repository as its hub lists it: every revision's files with sizes and digests. One request a commit, none a file."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from yulan import digest
from yulan.errors import HubError
from yulan.release.audit.asked import Asked
from yulan.release.hub import Refused, Remote
from yulan.release.names import MAIN, Repo

T = TypeVar("T")
SMALL = 4 << 20
"""Bytes of the largest text that is read whole."""
TEXTS = 200
"""Small files that are read without --deep, besides one a revision."""
REVISIONS = 16
"""Revisions, spread over all and `main` among them, whose texts are read without --deep."""
MOST_REVISIONS, MOST_FILES = 2_000, 1_000_000
"""Of one repository, all revisions together: what is held in memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One revision."""

    name: str
    commit: str
    files: Mapping[str, Remote]


@dataclass(frozen=True, kw_only=True)
class Survey:
    repo: Repo
    revisions: tuple[Seen, ...]
    """Branches, `main` first; a tag only where no branch has its commit."""
    tags: Mapping[str, str]
    """Tag -> commit."""
    hub: Asked | None = None
    """Null: only what is listed can be asked."""
    deep: bool = False
    """Whether everything is read."""
    whole: bool = True
    """Whether these are all revisions, and not one that was asked for."""
    unread: set[str] = field(default_factory=set)
    """Small files that were wanted and not read: too many are there."""
    other: set[str] = field(default_factory=set)
    """REVISION:FILE of small files whose bytes are not those that the hub lists."""
    refused: set[str] = field(default_factory=set)
    """REVISION:FILE that the hub lists and does not give out."""
    _read: dict[str, bytes] = field(default_factory=dict)

    @property
    def main(self) -> Seen | None:
        return next((seen for seen in self.revisions if seen.name == MAIN), None)

    @cached_property
    def looked(self) -> tuple[Seen, ...]:
        """Revisions whose texts are read."""
        if self.deep or self.hub is None:
            return self.revisions
        main = tuple(seen for seen in self.revisions if seen.name == MAIN)
        return main + tuple(spread([seen for seen in self.revisions if seen.name != MAIN], REVISIONS - len(main)))

    def text(self, seen: Seen, name: str) -> str | None:
        """A small file, asked for once for all revisions that hold the same; null: not there, too large, or not read."""
        data = self.data(seen, name)
        return None if data is None else data.decode("utf-8", "replace")

    def data(self, seen: Seen, name: str) -> bytes | None:
        """The same in bytes, which are checked against the listing."""
        found = seen.files.get(name)
        if found is None or found.size > SMALL or self.hub is None or not is_safe(name):
            return None
        if found.blob not in self._read:
            if not self.deep and len(self._read) >= len(self.revisions) + TEXTS:
                self.unread.add(found.blob)
                return None
            try:
                data = self.hub.whole(self.repo, seen.commit, name, found.size)
            except Refused:
                self.refused.add(f"{seen.name}:{name}")
                return None
            if not (digest.of_bytes(data) == found.sha256 if found.sha256 else digest.git_blob(data) == found.blob):
                self.other.add(f"{seen.name}:{name}")
            self._read[found.blob] = data
        return self._read[found.blob]

    def json(self, seen: Seen, name: str) -> Any:
        """A small file read as JSON; null: not there, too large, or not read.

        Raises: ValueError: it is not JSON, or nested too deep to be any of ours.
        """
        text = self.text(seen, name)
        try:
            return json.loads(text) if text is not None else None
        except RecursionError:
            raise ValueError("nested too deep") from None

    def part(self, seen: Seen, name: str, start: int, length: int) -> bytes | None:
        """A range of a file; null: it cannot be had."""
        if self.hub is None or not is_safe(name):
            return None
        try:
            return self.hub.part(self.repo, seen.commit, name, start, length)
        except Refused:
            self.refused.add(f"{seen.name}:{name}")
            return None

    def distinct(self, revisions: Iterable[Seen] | None = None) -> Iterator[tuple[Seen, str, Remote]]:
        """Each different file once, with the first revision and name that hold it; of all revisions, or of some."""
        known: set[str] = set()
        for seen in self.revisions if revisions is None else revisions:
            for name, remote in sorted(seen.files.items()):
                if remote.blob not in known:
                    known.add(remote.blob)
                    yield seen, name, remote


def look(hub: Asked, repo: Repo, revision: str | None = None, *, deep: bool = False) -> Survey:
    """Ask for all revisions, or for one.

    Raises: HubError: the hub does not answer, has no such repository or revision, or lists too much to be one.
    """
    if revision is not None:
        commit = hub.commit_of(repo, revision)
        one = Seen(name=revision, commit=commit, files=hub.tree(repo, commit))
        return Survey(repo=repo, revisions=(one,), tags={}, hub=hub, deep=deep, whole=False)
    branches, tags = hub.refs(repo)
    names = sorted(branches, key=lambda name: (name != MAIN, name))
    commits = {name: branches[name] for name in names} | {
        name: commit for name, commit in sorted(tags.items()) if commit not in branches.values()
    }
    trees: dict[str, Mapping[str, Remote]] = {}
    for commit in dict.fromkeys(commits.values()):
        if len(commits) > MOST_REVISIONS or sum(map(len, trees.values())) > MOST_FILES:
            raise HubError(
                f"more than {MOST_REVISIONS:,} revisions or {MOST_FILES:,} files",
                where=repo,
                cure=f"Audit it by revisions: yulan audit hf://{repo}@REVISION",
            )
        trees[commit] = hub.tree(repo, commit)
    seen = tuple(Seen(name=name, commit=commit, files=trees[commit]) for name, commit in commits.items())
    return Survey(repo=repo, revisions=seen, tags=tags, hub=hub, deep=deep)


def is_safe(name: str) -> bool:
    """Whether a file's name stays in its folder and shows as it is: no other is asked for."""
    parts = name.split("/")
    return not name.startswith("/") and "\\" not in name and name.isprintable() and not {"", ".", ".."} & set(parts)


def spread(items: list[T], most: int) -> list[T]:
    """At most `most` of them, first and last among them, at equal distances."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]

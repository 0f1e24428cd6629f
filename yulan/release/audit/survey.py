"""A repository as its hub lists it: every revision's files with sizes and digests. One request a commit, none a file."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from yulan.release.names import MAIN, Repo

if TYPE_CHECKING:
    from yulan.release.hub import Hub, Remote

SMALL = 4 << 20
"""Bytes of the largest text that is read whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One revision."""

    name: str
    commit: str
    files: "Mapping[str, Remote]"


@dataclass(frozen=True, kw_only=True)
class Survey:
    repo: Repo
    revisions: tuple[Seen, ...]
    """Branches, `main` first; a tag only where no branch has its commit."""
    tags: Mapping[str, str]
    """Tag -> commit."""
    hub: "Hub | None" = None
    """Null: only what is listed can be asked."""
    _read: dict[str, bytes] = field(default_factory=dict)

    @property
    def main(self) -> Seen | None:
        return next((seen for seen in self.revisions if seen.name == MAIN), None)

    def text(self, seen: Seen, name: str) -> str | None:
        """A small file, asked for once for all revisions that hold the same; null: not there, too large, or no hub to ask."""
        found = seen.files.get(name)
        if found is None or found.size > SMALL or self.hub is None:
            return None
        if found.blob not in self._read:
            self._read[found.blob] = b"".join(self.hub.read(self.repo, seen.commit, name))
        return self._read[found.blob].decode("utf-8", "replace")

    def json(self, seen: Seen, name: str) -> Any:
        """A small file read as JSON; null: not there, too large, or no hub to ask.

        Raises: ValueError: it is not JSON, or nested too deep to be any of ours.
        """
        text = self.text(seen, name)
        try:
            return json.loads(text) if text is not None else None
        except RecursionError:
            raise ValueError("nested too deep") from None

    def part(self, seen: Seen, name: str, start: int, length: int) -> bytes | None:
        """A range of a file; null: no hub to ask."""
        return self.hub.part(self.repo, seen.commit, name, start, length) if self.hub is not None else None

    def distinct(self) -> "Iterator[tuple[Seen, str, Remote]]":
        """Each different file once, with the first revision and name that hold it."""
        known: set[str] = set()
        for seen in self.revisions:
            for name, remote in sorted(seen.files.items()):
                if remote.blob not in known:
                    known.add(remote.blob)
                    yield seen, name, remote


def look(hub: "Hub", repo: Repo, revision: str | None = None) -> Survey:
    """Ask for all revisions, or for one.

    Raises: HubError: the hub does not answer, or has no such repository or revision.
    """
    if revision is not None:
        commit = hub.commit_of(repo, revision)
        return Survey(repo=repo, revisions=(Seen(name=revision, commit=commit, files=hub.tree(repo, commit)),), tags={}, hub=hub)
    branches, tags = hub.refs(repo)
    names = sorted(branches, key=lambda name: (name != MAIN, name))
    commits = {name: branches[name] for name in names} | {
        name: commit for name, commit in sorted(tags.items()) if commit not in branches.values()
    }
    trees: dict[str, Mapping[str, Remote]] = {}
    for commit in commits.values():
        if commit not in trees:
            trees[commit] = hub.tree(repo, commit)
    seen = tuple(Seen(name=name, commit=commit, files=trees[commit]) for name, commit in commits.items())
    return Survey(repo=repo, revisions=seen, tags=tags, hub=hub)

"""One revision onto a hub: send, commit once, read back, compare. What fails before the commit leaves the branch as it was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from yulan.errors import HubError
from yulan.release.folder import ALIEN, WITHDRAWN
from yulan.release.hub import Away, Hub, Remote, StaleHead
from yulan.release.hub_upload import additions
from yulan.release.names import Repo
from yulan.release.progress import Progress, Say
from yulan.release.release import Revision

Tree = Mapping[str, Remote]
Guard = Callable[[str | None, Tree], None]
"""(head of the branch, its files) -> an error where this is not what was agreed to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Put:
    """A revision that is on the hub as it is here."""

    commit: str
    sent: int
    """Bytes that went over the wire, those twice that went twice."""
    present: int
    """Bytes that the hub had already."""


class Transaction:
    """One revision's; `put` may be called again after the hub was away, and counts what went in all tries."""

    def __init__(self, hub: Hub, repo: Repo, revision: Revision, say: Say, guard: Guard | None = None) -> None:
        self.hub, self.repo, self.revision, self.say, self.guard = hub, repo, revision, say, guard
        self.place = f"{repo}@{revision.name}"
        self.progress = Progress(self.place, 0, say)

    def put(self) -> Put:
        """Make the branch hold exactly the revision's files.

        Raises: HubError: refused, failed, or another's commit came between; bytes that differ are named.
        """
        hub, revision = self.hub, self.revision
        head = hub.refs(self.repo)[0].get(revision.name)
        tree = hub.tree(self.repo, head) if head is not None else {}
        if self.guard is not None:
            self.guard(head, tree)
        if WITHDRAWN in tree and WITHDRAWN not in revision.files:
            cure = "Publish under another revision; a withdrawal is not undone by publishing again"
            raise HubError("was withdrawn", where=self.place, cure=cure)
        if head is not None and not differences(revision, tree):
            sent = self.progress.moved
            if not sent:
                self.say(f"{self.place}: already there, {revision.size:,} bytes; nothing is sent")
            return Put(commit=head, sent=sent, present=0)
        if head is None:
            hub.branch(self.repo, revision.name)
            head = hub.commit_of(self.repo, revision.name)
            tree = hub.tree(self.repo, head)
        return self._send(head, tree)

    def _send(self, head: str, tree: Tree) -> Put:
        hub, revision, progress = self.hub, self.revision, self.progress
        gone = sorted(tree.keys() - revision.files.keys() - {ALIEN})
        files = {name: file for name, file in sorted(revision.files.items()) if not holds(revision, tree, name)}
        total = sum(file.size for file in files.values())
        progress.total = progress.moved + total
        operations = additions({name: revision.paths[name] for name in files}, files, progress.add)
        moved = progress.moved
        for size in hub.upload(self.repo, revision.name, operations):
            # What the hub has already takes no time.
            progress.total -= max(0, size - (progress.moved - moved))
            moved = progress.moved
        try:
            hub.commit(self.repo, revision.name, head, operations, gone, f"Publish {revision.name} ({revision.digest[:12]})")
        except StaleHead:
            self.say(f"{self.place}: no clear answer to the commit; looking at what is there")
        new = hub.commit_of(self.repo, revision.name)
        if new == head:
            cure = "Run the same command again; nothing is sent twice"
            raise Away("the hub did not take the commit", where=self.place, cure=cure)
        after = hub.tree(self.repo, new)
        require_equal(self.repo, revision, after)
        # Small files travel inside the commit; the hub gives no sha256 for them.
        sent = progress.moved + sum(file.size for name, file in files.items() if after[name].sha256 is None)
        self.say(f"{self.place}: {total:,} bytes are there, as they are here")
        return Put(commit=new, sent=sent, present=max(0, total - sent))


def holds(revision: Revision, tree: Tree, name: str) -> bool:
    """Whether the hub's file of that name has the local one's bytes."""
    return name in tree and tree[name].holds(revision.files[name], revision.paths[name])


def differences(revision: Revision, tree: Tree) -> list[str]:
    """Rows like `changed  config.json`: the local files against the hub's tree, by sha256 and size or by git's blob id;
    nothing is downloaded."""
    rows = [f"missing  {name}" for name in sorted(revision.files.keys() - tree.keys())]
    rows += [f"extra    {name}" for name in sorted(tree.keys() - revision.files.keys() - {ALIEN})]
    return rows + [f"changed  {n}" for n in sorted(tree.keys() & revision.files.keys()) if not holds(revision, tree, n)]


def require_equal(repo: Repo, revision: Revision, tree: Tree) -> None:
    """Raises: HubError: a byte differs, named."""
    if rows := differences(revision, tree):
        raise HubError(
            "the hub does not hold what was sent",
            where=f"{repo}@{revision.name}",
            cure="Do not use this revision; run the same command again, or ask who else writes there",
            evidence=rows,
        )

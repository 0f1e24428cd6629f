"""One revision onto a hub: send, commit once, read back, compare. What fails before the commit leaves the branch as it was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from yulan.errors import HubError
from yulan.release.folder import ALIEN, WITHDRAWN
from yulan.release.hub import Hub, Remote, StaleHead
from yulan.release.names import Repo
from yulan.release.release import Revision

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Put:
    """A revision that is on the hub as it is here."""

    commit: str
    sent: int
    """Bytes that went over the wire."""
    present: int
    """Bytes of the commit's files that the hub had already."""
    changed: bool


def put(hub: Hub, repo: Repo, revision: Revision, branches: Mapping[str, str], say: Say) -> Put:
    """Make the branch hold exactly the revision's files.

    Raises: HubError: refused, failed, or another's commit came between; bytes that differ are named.
    """
    head = branches.get(revision.name)
    if head is None:
        hub.branch(repo, revision.name)
        head = hub.commit_of(repo, revision.name)
    tree = hub.tree(repo, head)
    if WITHDRAWN in tree and WITHDRAWN not in revision.files:
        cure = "Publish under another revision; a withdrawal is not undone by publishing again"
        raise HubError("was withdrawn", where=f"{repo}@{revision.name}", cure=cure)
    absent = {
        name for name, file in revision.files.items() if name not in tree or not tree[name].holds(file, revision.paths[name])
    }
    gone = sorted(tree.keys() - revision.files.keys() - {ALIEN})
    if not absent and not gone:
        say(f"{repo}@{revision.name}: already there, {revision.size:,} bytes; nothing is sent")
        return Put(commit=head, sent=0, present=0, changed=False)
    files = {name: revision.files[name] for name in sorted(absent)}
    present = hub.present(repo, files.values())
    additions = hub.additions({name: revision.paths[name] for name in files}, files)
    total, done = sum(file.size for file in files.values()), 0
    for sent in hub.upload(repo, revision.name, additions):
        done += sent
        say(f"{repo}@{revision.name}: {done:,} of {total:,} bytes")
    try:
        hub.commit(repo, revision.name, head, additions, gone, f"Publish {revision.name} ({revision.digest[:12]})")
    except StaleHead:
        say(f"{repo}@{revision.name}: no clear answer to the commit; looking at what is there")
    new = hub.commit_of(repo, revision.name)
    if new == head:
        raise HubError(
            "the hub did not take the commit",
            where=f"{repo}@{revision.name}",
            cure="Run the same command again; nothing is sent twice",
        )
    after = hub.tree(repo, new)
    require_equal(repo, revision, after)
    there = sum(file.size for name, file in files.items() if after[name].sha256 in present)
    return Put(commit=new, sent=total - there, present=there, changed=True)


def require_equal(repo: Repo, revision: Revision, tree: Mapping[str, Remote]) -> None:
    """Compare the hub's tree with the local files, by sha256 and size or by git's blob id; nothing is downloaded.

    Raises: HubError: a byte differs, named.
    """
    rows = [f"missing  {name}" for name in sorted(revision.files.keys() - tree.keys())]
    rows += [f"extra    {name}" for name in sorted(tree.keys() - revision.files.keys() - {ALIEN})]
    rows += [
        f"changed  {name}"
        for name in sorted(tree.keys() & revision.files.keys())
        if not tree[name].holds(revision.files[name], revision.paths[name])
    ]
    if rows:
        raise HubError(
            "the hub does not hold what was sent",
            where=f"{repo}@{revision.name}",
            cure="Do not use this revision; run the same command again, or ask who else writes there",
            evidence=rows,
        )

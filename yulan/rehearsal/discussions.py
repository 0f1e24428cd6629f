"""Pull requests: a ref that others may commit to, and one merge that moves main."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from yulan import files
from yulan.rehearsal.commits import Entry, now
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.repo import AUTHOR, HEADS, MAIN, PULLS, Repo

FILE = "discussions.json"
STATUSES = ("draft", "open", "closed", "merged")


@dataclass(frozen=True, kw_only=True, slots=True)
class Discussion:
    """A discussion, or a pull request where `start` is a commit."""

    number: int
    title: str
    created: str
    status: str
    events: tuple[dict[str, Any], ...]
    start: str | None
    """Commit of main from which the pull request forked."""
    merge_commit: str | None = None

    @property
    def ref(self) -> str:
        return f"{PULLS}{self.number}"

    def with_event(self, kind: str, data: dict[str, Any], **changes: Any) -> "Discussion":
        event = {"id": f"{self.number}-{len(self.events)}", "type": kind, "createdAt": now(), "data": data}
        return replace(self, events=(*self.events, {**event, "author": {"name": AUTHOR}}), **changes)


def read(repo: Repo) -> dict[int, Discussion]:
    """By number. A pull request is one from the moment that its ref stands: a kill, or a refused commit, may come before."""
    path = repo.folder / FILE
    rows = (
        [Discussion(**{**row, "events": tuple(row["events"])}) for row in json.loads(path.read_bytes())] if path.exists() else []
    )
    refs = repo.refs()
    return {row.number: row for row in rows if row.start is None or row.ref in refs}


def save(repo: Repo, discussion: Discussion) -> Discussion:
    with repo.lock:
        rows = {**read(repo), discussion.number: discussion}
        files.write_json(repo.folder / FILE, [asdict(row) for _, row in sorted(rows.items())])
    return discussion


def find(repo: Repo, number: int) -> Discussion:
    try:
        return read(repo)[number]
    except KeyError:
        raise missing("entry", f"Discussion {number} does not exist") from None


def comment(text: str) -> dict[str, Any]:
    return {"edited": False, "hidden": False, "latest": {"raw": text}}


def open_discussion(
    repo: Repo, title: str, description: str, *, start: str | None, change: Callable[[str], object] | None = None
) -> Discussion:
    """Discussions and pull requests share one count. A pull request opens as a draft.

    Its ref is set to `start`, or by `change`, a first commit to the ref of the name that it is given.
    """
    with repo.lock:
        number = max(read(repo), default=0) + 1
        row = Discussion(
            number=number, title=title, created=now(), status="open" if start is None else "draft", events=(), start=start
        ).with_event("comment", comment(description))
        save(repo, row)
        if change is not None:
            change(row.ref)
        elif start is not None:
            repo.add_pull(number, start)
        return row


def merge(repo: Repo, number: int) -> Discussion:
    """Bring what the pull request changed since it forked into main, as one commit with two parents.

    Raises: Refused: not an open pull request, or main changed one of the same files since.
    """
    with repo.lock:
        pull = find(repo, number)
        if pull.start is None or pull.status not in {"draft", "open"}:
            raise Refused(400, f"Discussion {number} is not an open pull request")
        head = repo.resolve(pull.ref)
        done = next((id for id, row in repo.history(repo.refs()[MAIN]) if head in row.parents[1:]), None)
        if done is not None:  # A kill came between the merge and its note.
            return save(repo, pull.with_event("status-change", {"status": "merged"}, status="merged", merge_commit=done))
        before, after = repo.commit(pull.start).tree, repo.commit(head).tree
        changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
        main = repo.commit(repo.refs()[MAIN]).tree
        clash = sorted(path for path in changed if main.get(path) not in (before.get(path), after.get(path)))
        if clash:
            raise Refused(409, f"This pull request has conflicts: {', '.join(clash[:5])}")

        def change(tree: dict[str, Entry]) -> dict[str, Entry]:
            kept = {path: entry for path, entry in tree.items() if path not in changed}
            return kept | {path: after[path] for path in changed if path in after}

        id = repo.add_commit(MAIN, change, title=f"{pull.title} (#{number})", message="", merged=head)
        return save(repo, pull.with_event("status-change", {"status": "merged"}, status="merged", merge_commit=id))


def rewritten(repo: Repo, new: Mapping[str, str]) -> None:
    """Follow commits that got other ids."""
    for row in read(repo).values():
        start, merged = (new.get(id, id) if id else None for id in (row.start, row.merge_commit))
        save(repo, replace(row, start=start, merge_commit=merged))


def shown(repo: Repo, row: Discussion) -> dict[str, Any]:
    """As clients read it."""
    answer: dict[str, Any] = {
        "num": row.number,
        "title": row.title,
        "status": row.status,
        "author": {"name": AUTHOR},
        "createdAt": row.created,
        "isPullRequest": row.start is not None,
        "repo": {"name": repo.id, "type": repo.kind},
        "events": list(row.events),
        "pinned": False,
        "locked": False,
    }
    if row.start is not None:
        answer |= {"changes": {"base": HEADS + "main", "mergeCommitId": row.merge_commit}, "filesWithConflicts": [], "diff": ""}
    return answer

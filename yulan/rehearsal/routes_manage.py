"""What owners do to whole repositories: another name, one commit for a history, large files deleted for good or lent."""

from typing import Any

from starlette.responses import JSONResponse, Response

from yulan.rehearsal import discussions
from yulan.rehearsal.commits import Entry
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.routes_read import PAGE, page
from yulan.rehearsal.routes_repos import url
from yulan.rehearsal.store import KINDS
from yulan.rehearsal.wire import Call, field


def auth_check(call: Call) -> Response:
    """May the sender download? With `/write` behind it: may they change it?"""
    call.repo("write") if call.args.get("write") else call.repo(content=True)
    return JSONResponse({})


def move(call: Call) -> Response:
    """Rename a repo. The old name leads to the new one until something else takes it."""
    call.need("write")
    body = call.json()
    kind = str(body.get("type") or "model")
    call.store.move(kind, field(body, "fromRepo", str), field(body, "toRepo", str))
    return Response(status_code=200)


def duplicate(call: Call) -> Response:
    """A repo of another name with the same branches, tags and history; objects are shared."""
    source, body = call.repo(content=True), call.json()
    call.need("write")
    target = call.store.repo(source.kind, field(body, "repository", str))
    with target.lock:
        if target.exists:
            raise Refused(409, "A repository of this name exists")
        target.create_from(source, private=body.get("visibility") == "private")
    return JSONResponse({"url": url(call, target), "filesCopyPending": False})


def storage(call: Call) -> Response:
    """What each repo takes: every large file of every commit once."""
    call.need("read")
    rows: list[dict[str, Any]] = []
    for kind in KINDS if call.member else ():
        for repo in call.store.repos(kind):
            sizes = {entry.sha256: entry.size for commit in repo.commits() for entry in commit.tree.values() if entry.lfs}
            if call.args.get("ns") in {None, repo.id.partition("/")[0]}:
                row = {"id": repo.id, "type": kind, "updatedAt": repo.commit(repo.resolve("main")).date}
                visibility = "private" if repo.settings["private"] else "public"
                rows.append({**row, "visibility": visibility, "storage": sum(sizes.values())})
    total = sum(row["storage"] for row in rows)
    rows = [{**row, "storagePercent": 100 * row["storage"] / total if total else 0.0} for row in rows]
    shown, headers = page(call, rows, PAGE)
    return JSONResponse(shown, headers=headers)


def squash(call: Call) -> Response:
    id = call.repo("write").squash(call.args["rev"], str(call.json().get("message") or "Super-squash"))
    return JSONResponse({"commitOid": id})


def lfs_files(call: Call) -> Response:
    """Large files of any commit, each object once, under the name that it had first."""
    repo = call.repo("write")
    rows: dict[str, dict[str, Any]] = {}
    for commit in sorted(repo.commits(), key=lambda commit: commit.date):
        for path, entry in sorted(commit.tree.items()):
            if entry.lfs and repo.objects.has(entry.sha256):
                row = {"fileOid": entry.sha256, "oid": entry.sha256, "filename": path, "size": entry.size}
                rows.setdefault(entry.sha256, {**row, "pushedAt": commit.date})
    shown, headers = page(call, list(rows.values()), PAGE)
    return JSONResponse(shown, headers=headers)


def delete_lfs(call: Call) -> Response:
    """Delete large files for good, out of the history too unless told otherwise.

    An object that another repository has as well stays with that one.
    """
    repo, wanted = call.repo("write"), field(call.json(), "deletions", dict)
    gone = {str(sha256) for sha256 in field(wanted, "sha", list)}

    def without(tree: dict[str, Entry]) -> dict[str, Entry]:
        return {path: entry for path, entry in tree.items() if not (entry.lfs and entry.sha256 in gone)}

    with repo.lock:
        if wanted.get("rewriteHistory") is not False:
            new = repo.rewrite(without)
            discussions.rewritten(repo, new)
            repo.drop(old for old, id in new.items() if old != id)
    others = (other for kind in KINDS for other in call.store.repos(kind) if other is not repo)
    shared = {entry.sha256 for other in others for commit in other.commits() for entry in commit.tree.values()}
    for sha256 in gone - shared:
        call.store.forget(sha256)
    return Response(status_code=200)


def duplicate_lfs(call: Call) -> Response:
    """Let another repo name large files of this one; objects are shared here, so there is nothing to copy."""
    repo, body = call.repo(content=True), call.json()
    target = field(body, "target", dict)
    call.need("write")
    if not call.store.repo(field(target, "type", str), field(target, "name", str)).exists:
        raise missing("repo", "Repository not found")
    own = {entry.sha256 for commit in repo.commits() for entry in commit.tree.values()}
    asked = [field(file, "sha256", str) for file in field(body, "files", list)]
    failed = [{"sha256": sha256, "error": "Not a file of this repository"} for sha256 in asked if sha256 not in own]
    return JSONResponse({"failed": failed})


def nameless(call: Call) -> Response:
    """A name without a namespace, as a few old repos of the public hub have: there is none here."""
    if call.holder is None:
        raise Refused(401, "Invalid username or password.", "RepoNotFound")
    raise missing("repo", "Repository not found")

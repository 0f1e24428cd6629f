"""Changing a repository: which files are large, one commit, branches and tags."""

from functools import partial

from starlette.responses import JSONResponse, Response

from yulan.rehearsal.discussions import open_discussion
from yulan.rehearsal.operations import BODY, LINE, Tree, decoded, read_operations
from yulan.rehearsal.repo import HEADS, TAGS
from yulan.rehearsal.routes_repos import url
from yulan.rehearsal.tree import LARGE, checked, ignores, tracks
from yulan.rehearsal.wire import Call, field


def preupload(call: Call) -> Response:
    """Say for each file whether it goes through LFS or inside the commit, and what stands there now."""
    repo, body = call.repo("write"), call.json()
    tree = repo.commit(repo.resolve(call.args["rev"])).tree

    def text(name: str) -> bytes:
        return repo.objects.path(tree[name].sha256).read_bytes() if name in tree else b""

    given = body.get("gitIgnore")
    ignored = ignores(given if isinstance(given, str) else text(".gitignore").decode("utf-8", "replace"))
    attributes, rows = tracks(text(".gitattributes")), []
    for file in field(body, "files", list):
        path = checked(field(file, "path", str))
        binary = b"\0" in decoded(file.get("sample", ""))
        mode = "lfs" if binary or field(file, "size", int) > LARGE or attributes.match_file(path) else "regular"
        row = {"path": path, "uploadMode": mode, "shouldIgnore": ignored.match_file(path)}
        rows.append(row | ({"oid": tree[path].oid} if path in tree else {}))
    return JSONResponse({"files": rows, "commitOid": repo.resolve(call.args["rev"])})


def commit(call: Call) -> Response:
    """Read the operations, store what came with them, then move the branch once."""
    repo = call.repo("write")
    header, steps = read_operations(call.store, call.lines(LINE, BODY))
    title, message = str(header.get("summary") or "Upload files"), str(header.get("description") or "")
    parent = header.get("parentCommit")

    def change(tree: Tree) -> Tree:
        for step in steps:
            tree = step(tree)
        return tree

    more = {}
    if call.query.get("create_pr") == "1":
        start = repo.resolve(call.args["rev"])
        add = partial(repo.add_commit, change=change, title=title, message=message, parent=parent, start=start)
        pull = open_discussion(repo, title, message, start=start, change=add)
        id = repo.resolve(pull.ref)
        more = {"pullRequestUrl": f"{url(call, repo)}/discussions/{pull.number}"}
    else:
        id = repo.add_commit(repo.branch(call.args["rev"]), change, title=title, message=message, parent=parent)
    answer = {"success": True, "commitOid": id, "commitUrl": f"{url(call, repo)}/commit/{id}", "hookOutput": ""}
    return JSONResponse(answer | more)


def create_branch(call: Call) -> Response:
    repo, body = call.repo("write"), call.json()
    start = body.get("startingPoint")
    flags = {"empty": body.get("emptyBranch") is True, "overwrite": body.get("overwrite") is True}
    repo.add_branch(call.args["ref"], start=str(start) if start else None, **flags)
    return Response(status_code=200)


def delete_branch(call: Call) -> Response:
    call.repo("write").remove_ref(HEADS + call.args["ref"])
    return Response(status_code=200)


def create_tag(call: Call) -> Response:
    call.repo("write").add_tag(field(call.json(), "tag", str), call.args["ref"])
    return Response(status_code=200)


def delete_tag(call: Call) -> Response:
    call.repo("write").remove_ref(TAGS + call.args["ref"])
    return Response(status_code=200)

"""Changing a repository: which files are large, one commit, branches and tags."""

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from yulan.rehearsal.commits import Entry, large, small
from yulan.rehearsal.discussions import open_pull
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.repo import HEADS, TAGS, Repo
from yulan.rehearsal.routes_repos import url
from yulan.rehearsal.tree import LARGE, checked, ignores, tracks
from yulan.rehearsal.wire import Call, field

LINE = 2 * LARGE
"""Most bytes of one line of a commit: a small file in base64, and room to spare."""
Tree = dict[str, Entry]


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


def decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "Not base64") from None


def commit(call: Call) -> Response:
    """Read the operations, store what came with them, then move the branch once."""
    repo = call.repo("write")
    header, steps = read_operations(repo, call.lines(LINE))
    title, message = str(header.get("summary") or "Upload files"), str(header.get("description") or "")
    pull = open_pull(repo, title, message, call.args["rev"]) if call.query.get("create_pr") == "1" else None
    ref = repo.branch(call.args["rev"]) if pull is None else pull.ref

    def change(tree: Tree) -> Tree:
        for step in steps:
            tree = step(tree)
        return tree

    id = repo.add_commit(ref, change, title=title, message=message, parent=header.get("parentCommit"))
    answer = {"success": True, "commitOid": id, "commitUrl": f"{url(call, repo)}/commit/{id}", "hookOutput": ""}
    return JSONResponse(answer | ({"pullRequestUrl": f"{url(call, repo)}/discussions/{pull.number}"} if pull else {}))


def read_operations(repo: Repo, lines: Iterator[bytearray]) -> tuple[dict[str, Any], list[Callable[[Tree], Tree]]]:
    """Operations as functions on a tree, since only the lock's holder knows the tree they meet."""
    header: dict[str, Any] = {}
    steps: list[Callable[[Tree], Tree]] = []
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise Refused(400, "A line of the commit is not JSON") from None
        key, value = field(row, "key", str), field(row, "value", dict)
        if key == "header":
            header = value
        else:
            steps.append(_operation(repo, key, value))
    return header, steps


def _operation(repo: Repo, key: str, value: dict[str, Any]) -> Callable[[Tree], Tree]:
    path = checked(field(value, "path", str).strip("/"))
    if key == "file":
        content = field(value, "content", str)
        data = decoded(content) if value.get("encoding") == "base64" else content.encode()
        repo.objects.put(data)
        return _placed(path, small(data))
    if key == "lfsFile":
        return _placed(path, _uploaded(repo, path, value))
    if key == "deletedFile":
        return lambda tree: _without(tree, path, {path} & tree.keys())
    if key == "deletedFolder":
        return lambda tree: _without(tree, path, {name for name in tree if name.startswith(f"{path}/")})
    raise Refused(400, f"Unknown operation: {key!a}")


def _placed(path: str, entry: Entry) -> Callable[[Tree], Tree]:
    return lambda tree: {**tree, path: entry}


def _uploaded(repo: Repo, path: str, value: dict[str, Any]) -> Entry:
    """The large file that an earlier upload left here; `size` is absent where a file is copied."""
    sha256, size = field(value, "oid", str), value.get("size")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef") or not repo.objects.has(sha256, size):
        raise Refused(400, f"{path}: no bytes with this sha256 and size were uploaded")
    return large(sha256, repo.objects.path(sha256).stat().st_size)


def _without(tree: Tree, path: str, gone: set[str]) -> Tree:
    if not gone:
        raise missing("entry", f"{path} does not exist")
    return {name: entry for name, entry in tree.items() if name not in gone}


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

"""Reading a repository: its description, its trees, its history."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.responses import JSONResponse, Response

from yulan.rehearsal.commits import Commit, Entry, pointer
from yulan.rehearsal.refused import missing
from yulan.rehearsal.repo import HEADS, PULLS, TAGS, Repo
from yulan.rehearsal.routes_repos import card
from yulan.rehearsal.tree import Folder, listing
from yulan.rehearsal.wire import Call, field

PAGE = 1000
README_LIMIT = 1 << 20


def found(call: Call) -> tuple[Repo, str, Commit]:
    """The repo and the commit that the address names; `main` where it names no revision."""
    repo = call.repo()
    id = repo.resolve(call.args.get("rev") or "main")
    return repo, id, repo.commit(id)


def lfs(entry: Entry) -> dict[str, Any]:
    pointer_size = len(pointer(entry.sha256, entry.size))
    return {"oid": entry.sha256, "sha256": entry.sha256, "size": entry.size, "pointerSize": pointer_size}


def info(call: Call) -> Response:
    repo, id, commit = found(call)
    row = {**summary(repo, id, commit), "siblings": siblings(commit, blobs=truth(call.query.get("blobs")))}
    if wanted := call.request.query_params.getlist("expand"):
        row = {name: row[name] for name in ("_id", "id", *wanted) if name in row}
    return JSONResponse(row)


def siblings(commit: Commit, *, blobs: bool) -> list[dict[str, Any]]:
    rows = []
    for path, entry in sorted(commit.tree.items()):
        row: dict[str, Any] = {"rfilename": path}
        if blobs:
            row |= {"size": entry.size, "blobId": entry.blob_id} | ({"lfs": lfs(entry)} if entry.lfs else {})
        rows.append(row)
    return rows


def summary(repo: Repo, id: str, commit: Commit) -> dict[str, Any]:
    """What the hub tells of a repo beside its files."""
    settings, header, readme = repo.settings, {}, commit.tree.get("README.md")
    if readme is not None and readme.size <= README_LIMIT:
        try:
            header = json.loads(json.dumps(card(repo.objects.path(readme.sha256).read_text("utf-8", "replace")), default=str))
        except ValueError:
            header = {}
    tags = header.get("tags")
    row = {
        "_id": id[:24],
        "id": repo.id,
        "author": repo.id.partition("/")[0],
        "sha": id,
        "lastModified": commit.date,
        "createdAt": settings["created"],
        "private": settings["private"],
        "gated": settings["gated"],
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else [],
        "cardData": header,
        "usedStorage": sum({entry.sha256: entry.size for entry in commit.tree.values()}.values()),
    }
    optional = {"library_name": header.get("library_name"), "pipeline_tag": header.get("pipeline_tag")}
    return row | ({"modelId": repo.id} | {k: v for k, v in optional.items() if v} if repo.kind == "model" else {})


def listed(call: Call) -> Response:
    """Repositories, those of one author, with a word in their name, or with all of some tags."""
    author, word, rows = call.query.get("author"), call.query.get("search", "").lower(), []
    tags = set(call.request.query_params.getlist("filter"))
    for repo in call.store.repos(call.args["kind"].rstrip("s")):
        visible = call.member or not repo.settings["private"]
        if visible and author in {None, repo.id.partition("/")[0]} and word in repo.id.lower():
            id = repo.resolve("main")
            row = summary(repo, id, repo.commit(id))
            if tags <= set(row["tags"]):
                rows.append(row)
    shown, headers = page(call, rows, PAGE)
    return JSONResponse(shown, headers=headers)


def described(call: Call, repo: Repo, id: str, rows: Mapping[str, Entry | Folder], *, expand: bool) -> list[dict[str, Any]]:
    """Rows of a listing as clients read them; `expand` adds the last commit that touched each."""
    out: list[dict[str, Any]] = []
    for path, row in rows.items():
        if isinstance(row, Folder):
            out.append({"type": "directory", "oid": row.oid, "size": 0, "path": path})
            continue
        shown: dict[str, Any] = {"type": "file", "oid": row.blob_id, "size": row.size, "path": path}
        if row.lfs:
            shown["lfs"] = lfs(row)
            if hash := call.store.xet.name(row.sha256):
                shown["xetHash"] = hash
        out.append(shown)
    if expand:
        touched = last_commits(repo, id, [row["path"] for row in out])
        out = [row | {"lastCommit": touched[row["path"]]} for row in out]
    return out


def last_commits(repo: Repo, id: str, paths: Iterable[str]) -> dict[str, dict[str, str]]:
    """For each file or folder, the newest commit in which it differs from its first parent."""
    history = repo.history(id)
    parents: list[Mapping[str, Entry]] = [commit.tree for _, commit in history[1:]]
    touched, open_paths = {}, set(paths)
    for (name, commit), before in zip(history, [*parents, {}], strict=True):
        changed = {path for path in {*commit.tree, *before} if commit.tree.get(path) != before.get(path)}
        changed |= {path[:i] for path in changed for i, c in enumerate(path) if c == "/"}
        for path in open_paths & changed:
            touched[path] = {"id": name, "title": commit.title, "date": commit.date}
        open_paths -= changed
    return touched


def page(call: Call, rows: list[Any], size: int) -> tuple[list[Any], dict[str, str]]:
    """One page of rows and the Link header that names the next one."""
    size, start = max(1, min(size, call.number("limit", size))), call.number("cursor", 0)
    if start + size >= len(rows):
        return rows[start:], {}
    query = urlencode([*((k, v) for k, v in call.request.query_params.multi_items() if k != "cursor"), ("cursor", start + size)])
    path = call.request.scope["raw_path"].decode("ascii")
    return rows[start : start + size], {"Link": f'<{call.base}{path}?{query}>; rel="next"'}


def truth(value: str | None) -> bool:
    return (value or "").lower() in {"1", "true"}


def tree(call: Call) -> Response:
    repo, id, commit = found(call)
    under = call.args.get("path", "").strip("/")
    rows = listing(commit.tree, under, truth(call.query.get("recursive")))
    if under and not rows:
        raise missing("entry", f"{under} does not exist on {call.args['rev']}", X_Repo_Commit=id)
    shown, headers = page(call, list(rows), PAGE)
    expand = truth(call.query.get("expand"))
    return JSONResponse(described(call, repo, id, {path: rows[path] for path in shown}, expand=expand), headers=headers)


def paths_info(call: Call) -> Response:
    """Files and folders of a list; a path that is not there is left out."""
    repo, id, commit = found(call)
    if call.request.headers.get("content-type", "").startswith("application/json"):
        body = call.json()
        paths, expand = [str(path) for path in field(body, "paths", list)], body.get("expand") is True
    else:
        form = parse_qs(call.body().decode())
        paths, expand = form.get("paths", []), truth(form.get("expand", [""])[0])
    everything = listing(commit.tree, "", True)
    rows = {path: everything[path] for path in (path.strip("/") for path in paths) if path in everything}
    return JSONResponse(described(call, repo, id, rows, expand=expand))


def refs(call: Call) -> Response:
    rows: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": []}
    if "include_prs" in call.query:
        rows["pullRequests"] = []
    for ref, commit in sorted(call.repo().refs().items()):
        for prefix, kind in ((HEADS, "branches"), (TAGS, "tags"), (PULLS, "pullRequests")):
            if ref.startswith(prefix) and kind in rows:
                rows[kind].append({"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": commit})
    return JSONResponse(rows)


def commits(call: Call) -> Response:
    repo, id, _ = found(call)
    rows = [
        {"id": id, "title": row.title, "message": row.message, "date": row.date}
        | {"authors": [{"user": row.author}], "parents": list(row.parents)}
        for id, row in repo.history(id)
    ]
    shown, headers = page(call, rows, PAGE)
    return JSONResponse(shown, headers={**headers, "X-Total-Count": str(len(rows))})

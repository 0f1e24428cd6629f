"""Discussions and pull requests over HTTP."""

from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response

from yulan.rehearsal import discussions
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.wire import Call, field

PAGE = 50


def listed(call: Call) -> Response:
    repo, start = call.repo(), PAGE * call.number("p", 0)
    kind, status = call.query.get("type", "all"), call.query.get("status", "all")
    rows = [
        row
        for row in reversed(discussions.read(repo).values())
        if kind in {"all", "pull_request" if row.start else "discussion"}
        and (status == "all" or (status == "closed") == (row.status in {"closed", "merged"}))
    ]
    page = [discussions.shown(repo, row) for row in rows[start : start + PAGE]]
    return JSONResponse({"discussions": page, "count": len(rows), "start": start, "numClosedDiscussions": 0})


def create(call: Call) -> Response:
    repo, body = call.repo("write"), call.json()
    start = repo.resolve("main") if body.get("pullRequest") else None
    row = discussions.open_discussion(repo, field(body, "title", str), str(body.get("description", "")), start=start)
    return JSONResponse({**discussions.shown(repo, row), "pullRequest": row.start is not None})


def one(call: Call) -> Response:
    repo = call.repo()
    return JSONResponse(discussions.shown(repo, discussions.find(repo, int(call.args["number"]))))


def merge(call: Call) -> Response:
    repo = call.repo("write")
    return JSONResponse(discussions.shown(repo, discussions.merge(repo, int(call.args["number"]))))


def status(call: Call) -> Response:
    repo, new = call.repo("write"), field(call.json(), "status", str)
    with repo.lock:
        row = discussions.find(repo, int(call.args["number"]))
        if new not in {"open", "closed"} or row.status == "merged":
            raise Refused(400, f"A {row.status} discussion cannot become {new!a}")
        row = discussions.save(repo, row.with_event("status-change", {"status": new}, status=new))
        # Like the hub, closing a pull request keeps its ref, so it can be opened again.
    return JSONResponse({"newStatus": row.events[-1]})


def title(call: Call) -> Response:
    repo, new = call.repo("write"), field(call.json(), "title", str)
    with repo.lock:
        row = discussions.find(repo, int(call.args["number"]))
        row = discussions.save(repo, row.with_event("title-change", {"from": row.title, "to": new}, title=new))
    return JSONResponse({"newTitle": row.events[-1]})


def edit(call: Call) -> Response:
    return _changed(call, {"edited": True, "hidden": False, "latest": {"raw": field(call.json(), "content", str)}})


def hide(call: Call) -> Response:
    return _changed(call, {"edited": False, "hidden": True, "latest": {"raw": "This comment has been hidden"}})


def _changed(call: Call, data: dict[str, Any]) -> Response:
    repo = call.repo("write")
    with repo.lock:
        row = discussions.find(repo, int(call.args["number"]))
        old = next((e for e in row.events if (e["id"], e["type"]) == (call.args["item"], "comment")), None)
        if old is None:
            raise missing("entry", "Comment not found")
        discussions.save(repo, replace(row, events=tuple({**e, "data": data} if e is old else e for e in row.events)))
    return JSONResponse({"updatedComment": {**old, "data": data}})


def comment(call: Call) -> Response:
    repo, text = call.repo("write"), field(call.json(), "comment", str)
    with repo.lock:
        row = discussions.find(repo, int(call.args["number"]))
        row = discussions.save(repo, row.with_event("comment", discussions.comment(text)))
    return JSONResponse({"newMessage": row.events[-1]})

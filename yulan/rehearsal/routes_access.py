"""Who may read a gated repository: requests of users, and what the author makes of them."""

from typing import Any

from starlette.responses import JSONResponse, Response

from yulan import digest
from yulan.rehearsal.commits import now
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.repo import Repo
from yulan.rehearsal.store import TOKENS
from yulan.rehearsal.wire import Call, field

STATUSES = ("pending", "accepted", "rejected")


def _set(repo: Repo, user: str, status: str) -> None:
    with repo.lock:
        row = {"status": status, "timestamp": now()}
        repo.settings = {**repo.settings, "access": {**repo.access, user: row}}


def _gated(call: Call) -> tuple[Repo, str, dict[str, Any]]:
    """The repo, who is meant, and the body. Raises: Refused: not gated, or nobody of this name."""
    repo, body = call.repo("write"), call.json()
    if not repo.settings["gated"]:
        raise Refused(400, "The repository is not gated")
    asked = (body.get("user"), body.get("requestId"))
    user = next((holder.user for holder in TOKENS.values() if holder.user == asked[0] or number(holder.user) == asked[1]), None)
    if user is None:
        raise missing("entry", "User not found")
    return repo, user, body


def number(user: str) -> str:
    """A request's id: there is one of each user and repo."""
    return digest.of_bytes(user.encode())[:24]


def ask(call: Call) -> Response:
    """What the button on a gated repository's page does: `auto` lets everybody in who asks."""
    user, repo = call.need("read").user, call.repo()
    if not repo.settings["gated"]:
        raise Refused(400, "The repository is not gated")
    if user not in repo.access:
        _set(repo, user, "accepted" if repo.settings["gated"] == "auto" else "pending")
    return Response(status_code=200)


def listed(call: Call) -> Response:
    rows: list[dict[str, Any]] = [
        {"user": {"user": user, "fullname": user.title()}, "requestId": number(user), **row}
        for user, row in sorted(call.repo("write").access.items())
        if row["status"] == call.args["status"]
    ]
    return JSONResponse(rows)


def handle(call: Call) -> Response:
    repo, user, body = _gated(call)
    status = field(body, "status", str)
    if status not in STATUSES:
        raise Refused(400, f"status is one of {STATUSES}")
    if user not in repo.access:
        raise missing("entry", "This user did not ask for access")
    if repo.access[user]["status"] == status:
        raise Refused(404, f"The request is {status} already")
    _set(repo, user, status)
    return Response(status_code=200)


def grant(call: Call) -> Response:
    repo, user, _ = _gated(call)
    if repo.access.get(user, {}).get("status") == "accepted":
        raise Refused(400, "The user has access already")
    _set(repo, user, "accepted")
    return JSONResponse({})

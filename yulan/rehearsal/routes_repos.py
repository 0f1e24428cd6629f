"""Who am I, which repositories are there, make one, change it, delete it."""

from typing import Any

import yaml
from starlette.responses import JSONResponse, Response

from yulan import digest
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.repo import AUTHOR, Repo
from yulan.rehearsal.wire import Call

GATED = (False, "auto", "manual")


def whoami(call: Call) -> Response:
    held = call.need("read")
    access = {"displayName": "rehearsal", "role": held.scope, "createdAt": "1970-01-01T00:00:00.000Z"}
    user = {"type": "user", "id": digest.of_bytes(held.user.encode())[:24], "name": held.user, "fullname": held.user.title()}
    rest = {"isPro": False, "canPay": False, "orgs": []}
    return JSONResponse({**user, **rest, "auth": {"type": "access_token", "accessToken": access}})


def url(call: Call, repo: Repo) -> str:
    return f"{call.base}/{'datasets/' if repo.kind == 'dataset' else ''}{repo.id}"


def _named(call: Call) -> tuple[dict[str, Any], Repo]:
    """The repo that a JSON body names; without a namespace it is the token's own."""
    body = call.json()
    id = f"{body.get('organization') or AUTHOR}/{body.get('name')}"
    return body, call.store.repo(str(body.get("type") or "model"), id)


def create(call: Call) -> Response:
    call.need("write")
    body, repo = _named(call)
    with repo.lock:
        if repo.exists:
            answer = {"error": "You already created this " + repo.kind + " repo", "url": url(call, repo), "id": repo.id}
            return JSONResponse(answer, 409, headers={"X-Error-Message": answer["error"]})
        repo.create(private=body.get("visibility") == "private" or body.get("private") is True)
    return JSONResponse({"url": url(call, repo), "name": repo.id, "id": repo.id})


def delete(call: Call) -> Response:
    call.need("write")
    _, repo = _named(call)
    with repo.lock:
        if not repo.exists:
            raise missing("repo", "Repository not found")
        repo.delete()
    return Response(status_code=200)


def settings(call: Call) -> Response:
    repo, body = call.repo("write"), call.json()
    with repo.lock:
        value = repo.settings
        if "visibility" in body or "private" in body:
            value["private"] = body.get("visibility") == "private" or body.get("private") is True
        if "gated" in body:
            if body["gated"] not in GATED:
                raise Refused(400, f"gated is one of {GATED}")
            value["gated"] = body["gated"]
        repo.settings = value
    return JSONResponse({"private": value["private"], "gated": value["gated"]})


def validate_yaml(call: Call) -> Response:
    """Is the header of a card YAML at all, and an object? The hub's finer rules are not known here."""
    errors = []
    try:
        card(str(call.json().get("content", "")))
    except ValueError as error:
        errors.append({"message": str(error)})
    return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)


def card(text: str) -> dict[str, Any]:
    """The YAML between the two `---` at the head of a README; nothing there is an empty one.

    Raises: ValueError: not YAML, or not an object.
    """
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---" or "---" not in lines[1:]:
        return {}
    try:
        value = yaml.safe_load("\n".join(lines[1 : lines.index("---", 1)]))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"Invalid YAML: {str(error).splitlines()[0]}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("The YAML header is not an object")
    return value

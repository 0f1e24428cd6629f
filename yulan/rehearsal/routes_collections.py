"""Collections: named lists of repositories, in one file under the root."""

import json
import re
import secrets
from typing import Any

from starlette.responses import JSONResponse, Response

from yulan import files
from yulan.rehearsal.commits import now
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.wire import Call, field

KINDS = ("model", "dataset", "collection", "paper", "space")
EDITABLE = ("title", "description", "private", "theme", "position")


class Shelf:
    """The collections while they are read and changed: one request at a time."""

    def __init__(self, call: Call) -> None:
        self.call, self.path, self.lock = call, call.store.root / "collections.json", call.store.lock

    def __enter__(self) -> "Shelf":
        self.lock.acquire()
        self.all: dict[str, dict[str, Any]] = json.loads(self.path.read_bytes()) if self.path.exists() else {}
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def one(self) -> dict[str, Any]:
        """The collection that the address names; a private one does not exist for strangers."""
        found = self.all.get(f"{self.call.args['ns']}/{self.call.args['name']}")
        if found is None or (found["private"] and not self.call.member):
            raise missing("entry", "Collection not found")
        return found

    def save(self, changed: dict[str, Any]) -> dict[str, Any]:
        changed["lastUpdated"] = now()
        files.write_json(self.path, self.all)
        return changed


def listed(call: Call) -> Response:
    with Shelf(call) as shelf:
        owner = call.query.get("owner")
        rows = [row for row in shelf.all.values() if owner in {None, row["owner"]["name"]}]
        rows = [row for row in rows if call.member or not row["private"]]
    # The client counts positions in a listing itself.
    return JSONResponse([{k: v for k, v in row.items() if k != "position"} for row in rows[: call.number("limit", 100)]])


def create(call: Call) -> Response:
    call.need("write")
    body = call.json()
    title, owner = field(body, "title", str), field(body, "namespace", str)
    stem = f"{owner}/{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}-"
    with Shelf(call) as shelf:
        twin = next((slug for slug in shelf.all if slug.startswith(stem) and slug.count("-") == stem.count("-")), None)
        if twin is not None:
            return JSONResponse({"error": "This collection exists", "slug": twin}, 409, headers={"X-Error-Message": "It exists"})
        slug = stem + secrets.token_hex(12)
        row: dict[str, Any] = {"slug": slug, "title": title, "owner": {"name": owner}, "items": [], "position": len(shelf.all)}
        row |= {
            "private": body.get("private") is True,
            "theme": "green",
            "upvotes": 0,
            "description": str(body.get("description") or ""),
        }
        shelf.all[slug] = row
        return JSONResponse(shelf.save(row))


def one(call: Call) -> Response:
    with Shelf(call) as shelf:
        return JSONResponse(shelf.one())


def change(call: Call) -> Response:
    call.need("write")
    body = call.json()
    with Shelf(call) as shelf:
        row = shelf.one()
        row |= {name: body[name] for name in EDITABLE if name in body}
        return JSONResponse({"data": shelf.save(row)})


def delete(call: Call) -> Response:
    call.need("write")
    with Shelf(call) as shelf:
        row = shelf.one()
        del shelf.all[row["slug"]]
        shelf.save(row)
    return Response(status_code=200)


def add_item(call: Call) -> Response:
    """Adding what is there already is a 409, so that a second run of a release changes nothing."""
    call.need("write")
    body = call.json()
    item = field(body, "item", dict)
    id, kind = field(item, "id", str), field(item, "type", str)
    if kind not in KINDS:
        raise Refused(400, f"An item is one of {', '.join(KINDS)}")
    if kind in {"model", "dataset"} and not call.store.repo(kind, id).exists:
        raise missing("repo", "Repository not found")
    with Shelf(call) as shelf:
        row = shelf.one()
        if any((have["id"], have["type"]) == (id, kind) for have in row["items"]):
            raise Refused(409, "The item is already in the collection")
        note = {"note": {"text": str(body["note"])}} if body.get("note") else {}
        row["items"].append({"_id": secrets.token_hex(12), "id": id, "type": kind, "position": len(row["items"]), **note})
        return JSONResponse(shelf.save(row))


def change_item(call: Call) -> Response:
    """Another note, or another place in the order."""
    call.need("write")
    body = call.json()
    with Shelf(call) as shelf:
        row = shelf.one()
        item = next((have for have in row["items"] if have["_id"] == call.args["item"]), None)
        if item is None:
            raise missing("entry", "Item not found")
        if "note" in body:
            item["note"] = {"text": str(body["note"])}
        if isinstance(body.get("position"), int):
            row["items"].remove(item)
            row["items"].insert(max(0, body["position"]), item)
            row["items"] = [{**have, "position": n} for n, have in enumerate(row["items"])]
        shelf.save(row)
    return Response(status_code=200)


def delete_item(call: Call) -> Response:
    call.need("write")
    with Shelf(call) as shelf:
        row = shelf.one()
        kept = [have for have in row["items"] if have["_id"] != call.args["item"]]
        if len(kept) == len(row["items"]):
            raise missing("entry", "Item not found")
        row["items"] = [{**have, "position": n} for n, have in enumerate(kept)]
        shelf.save(row)
    return Response(status_code=200)

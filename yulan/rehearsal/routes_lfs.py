"""Large files over LFS: one PUT, or numbered parts and a completion. Upload addresses are signed, not logged in."""

import re
import time
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from yulan import digest, files
from yulan.rehearsal.objects import counted
from yulan.rehearsal.refused import Refused
from yulan.rehearsal.store import Store
from yulan.rehearsal.wire import Call, field

PART = 16 << 20
"""Bytes of one part; an object above this size comes in parts."""
LIFETIME = 3600
"""Seconds an upload address is good for."""
SHA256 = re.compile(r"[0-9a-f]{64}")
BLOCK = 1 << 20


def signature(store: Store, *fields: object) -> str:
    return digest.keyed(store.signing_key, "/".join(map(str, fields)).encode())


def address(call: Call, action: str, sha256: str, size: int, part: int = 0) -> str:
    fields = (action, sha256, size, part, int(time.time()) + LIFETIME)
    return "/".join(map(str, (f"{call.base}/lfs", *fields, signature(call.store, *fields))))


def batch(call: Call) -> Response:
    """Where to send each object; nothing is asked for that is already here."""
    body = call.json()
    if body.get("operation") != "upload":
        raise Refused(400, "Only uploads: downloads go through resolve")
    call.repo("write")
    if body.get("hash_algo", "sha256") != "sha256":
        raise Refused(409, "Only sha256")
    objects = [_offer(call, one) for one in field(body, "objects", list)]
    return Response(JSONResponse({"transfer": "basic", "objects": objects}).body, media_type="application/vnd.git-lfs+json")


def _offer(call: Call, one: Any) -> dict[str, Any]:
    sha256, size = field(one, "oid", str), field(one, "size", int)
    answer: dict[str, Any] = {"oid": sha256, "size": size}
    if not SHA256.fullmatch(sha256) or size < 0:
        return answer | {"error": {"code": 422, "message": "Not a sha256 and a size"}}
    if call.store.objects.has(sha256, size):
        return answer
    if size <= PART:
        return answer | {"actions": {"upload": {"href": address(call, "put", sha256, size)}}}
    header = {str(n): address(call, "part", sha256, size, n) for n in range(1, parts(size) + 1)}
    header["chunk_size"] = str(PART)
    return answer | {"actions": {"upload": {"href": address(call, "complete", sha256, size), "header": header}}}


def parts(size: int) -> int:
    return -(-size // PART)


def _claimed(call: Call, action: str) -> tuple[str, int, int]:
    """sha256, size and part of a signed address.

    Raises: Refused: forged or expired.
    """
    sha256, size, part, expires = (call.args[name] for name in ("sha256", "size", "part", "expires"))
    good = digest.same(signature(call.store, action, sha256, size, part, expires), call.args["signature"])
    if not good or int(expires) < time.time():
        raise Refused(403, "This upload address is not valid or has expired")
    return sha256, int(size), int(part)


def put(call: Call) -> Response:
    sha256, size, _ = _claimed(call, "put")
    call.store.objects.receive(call.blocks(), sha256, size)
    return Response(headers={"ETag": f'"{sha256}"'})


def put_part(call: Call) -> Response:
    sha256, size, part = _claimed(call, "part")
    length = min(PART, size - PART * (part - 1))
    with files.open_new(call.store.root / "uploads" / sha256 / str(part)) as file:
        etag = digest.of_parts(counted(call.blocks(), file, length))
        if file.tell() != length:
            raise Refused(400, f"{file.tell()} bytes came of the {length} promised")
    return Response(headers={"ETag": f'"{etag}"'})


def complete(call: Call) -> Response:
    """Join the parts; the whole is checked like any other object."""
    sha256, size, _ = _claimed(call, "complete")
    objects, folder = call.store.objects, call.store.root / "uploads" / sha256
    paths = [folder / str(n) for n in range(1, parts(size) + 1)]

    def blocks() -> Iterator[bytes]:
        for path in paths:
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    yield block

    with call.store.joining:
        if not objects.has(sha256, size):
            if not all(path.is_file() for path in paths):
                raise Refused(400, "Not every part was uploaded")
            try:
                objects.receive(blocks(), sha256, size)
            finally:
                files.remove(folder)
        files.remove(folder)
    return JSONResponse({"oid": sha256, "size": size})

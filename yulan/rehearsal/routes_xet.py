"""Xet over HTTP: tokens from the hub, then xorbs, shards and reconstructions as its storage service answers them."""

import re
import time
from typing import Any

from starlette.responses import JSONResponse, Response

from yulan import digest
from yulan.rehearsal.refused import Refused
from yulan.rehearsal.routes_files import Bytes
from yulan.rehearsal.wire import Call
from yulan.rehearsal.xet import Chunk, File, Term

LIFETIME = 3600
"""Seconds a token or a xorb's address is good for."""
SHARD = 64 << 20


def signature(call: Call, *fields: object) -> str:
    return digest.keyed(call.store.signing_key, "/".join(map(str, ("xet", *fields))).encode())


def token(call: Call) -> Response:
    """A short-lived token for the storage, which knows nothing of repositories."""
    access = call.args["access"]
    call.repo("write") if access == "write" else call.repo(content=True)
    expires = int(time.time()) + LIFETIME
    secret = f"{access}.{expires}.{signature(call, access, expires)}"
    headers = {"X-Xet-Cas-Url": call.base, "X-Xet-Access-Token": secret, "X-Xet-Token-Expiration": str(expires)}
    return JSONResponse({"casUrl": call.base, "accessToken": secret, "exp": expires}, headers=headers)


def _need(call: Call, scope: str) -> None:
    """Raises: Refused: no token of `token`, an expired one, or one that only reads."""
    parts = call.request.headers.get("authorization", "").removeprefix("Bearer ").split(".")
    good = len(parts) == 3 and parts[1].isdecimal() and digest.same(signature(call, *parts[:2]), parts[2])
    if not good or int(parts[1]) < time.time():
        raise Refused(401, "This Xet token is not valid or has expired")
    if scope == "write" and parts[0] != "write":
        raise Refused(403, "This Xet token only reads")


def put_xorb(call: Call) -> Response:
    _need(call, "write")
    return JSONResponse({"was_inserted": call.store.xet.receive_xorb(call.blocks(), call.args["hash"])})


def put_shard(call: Call) -> Response:
    _need(call, "write")
    call.store.xet.receive_shard(call.body(SHARD))
    return JSONResponse({"result": 1})


def reconstruction(call: Call) -> Response:
    """Which chunks of which xorbs make the asked range of a file, and where to fetch them."""
    _need(call, "read")
    file = call.store.xet.file(call.args["hash"])
    if file is None:
        raise Refused(404, "No file has this hash")
    match = re.fullmatch(r"bytes=([0-9]{1,15})-([0-9]{1,15})", call.request.headers.get("range", f"bytes=0-{file.size}"))
    if match is None:
        raise Refused(400, "Not a range of bytes")
    first, last = int(match[1]), min(int(match[2]), file.size - 1)
    if first > last:
        raise Refused(416, "Past the end of the file")
    return JSONResponse(plan(call, file, first, last))


def plan(call: Call, file: File, first: int, last: int) -> dict[str, Any]:
    terms: list[dict[str, Any]] = []
    fetch: dict[str, list[dict[str, Any]]] = {}
    skip, at = 0, 0
    for term in file.terms:
        chunks = call.store.xet.chunks(term.xorb)
        kept = _overlap(term, chunks, at, first, last)
        if kept is not None:
            start, end, before = kept
            skip = first - before if not terms else skip
            size = sum(chunk.size for chunk in chunks[start:end])
            terms.append({"hash": term.xorb, "unpacked_length": size, "range": {"start": start, "end": end}})
            row = {"range": {"start": start, "end": end}, "url": _address(call, term.xorb)}
            row["url_range"] = {"start": chunks[start].offset, "end": chunks[end - 1].end - 1}
            fetch.setdefault(term.xorb, []).append(row)
        at += term.size
    return {"offset_into_first_range": skip, "terms": terms, "fetch_info": fetch}


def _overlap(term: Term, chunks: tuple[Chunk, ...], at: int, first: int, last: int) -> tuple[int, int, int] | None:
    """Chunks of a term, which starts at byte `at` of the file, that touch the range; and the byte where they start."""
    start, end, before = None, term.start, 0
    for n in range(term.start, term.end):
        if at <= last and at + chunks[n].size > first:
            if start is None:
                start, before = n, at
            end = n + 1
        at += chunks[n].size
    return None if start is None else (start, end, before)


def _address(call: Call, xorb: str) -> str:
    expires = int(time.time()) + LIFETIME
    return f"{call.base}/xet/xorb/{xorb}/{expires}/{signature(call, xorb, expires)}"


def get_xorb(call: Call) -> Response:
    hash, expires = call.args["hash"], call.args["expires"]
    if not digest.same(signature(call, hash, expires), call.args["signature"]) or int(expires) < time.time():
        raise Refused(403, "This address is not valid or has expired")
    return Bytes(call.store.xet.xorb(hash), media_type="application/octet-stream")

"""No request, however made, is an error of the hub itself, and none reaches a file that is not for it."""

import http.client
import json
import re
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.data.test_shard_damage import swapped
from yulan.rehearsal.app import ROUTES

LOOSE = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.one_of(
    st.sampled_from(["main", "a", "b", "refs/pr/1", "refs/heads/main", "w.bin", "d", "1", "0" * 64, "9" * 12, "f" * 40]),
    st.sampled_from(["..", "../..", "../../token", ".git", "%2e%2e", "\0", "a\nb", "\u202e", "ü" * 300, "-", " "]),
    st.text(max_size=12),
)
ITEM = {"item": {"type": "model", "id": "a/b"}, "note": "n", "position": 0}
FILE = {"path": "f.txt", "size": 3, "sample": "YWJj", "content": "YWJj", "encoding": "base64", "algo": "sha256", "oid": "0" * 64}
SOUND: list[Any] = [
    {"name": "c", "organization": "a", "type": "model", "private": True, "visibility": "private"},
    {"private": False, "gated": "auto"},
    {"startingPoint": "main", "emptyBranch": False, "overwrite": True},
    {"tag": "t", "message": "m"},
    {"files": [FILE], "gitIgnore": "*.log"},
    {"title": "t", "description": "d", "pullRequest": True, "namespace": "a"},
    {"status": "closed", "comment": "c", "content": "c", "user": "stranger", "requestId": "1"},
    {"fromRepo": "a/x", "toRepo": "a/y", "type": "model"},
    {"deletions": {"sha": ["0" * 64], "rewriteHistory": True}},
    {"target": {"type": "model", "name": "a/b"}, "files": [{"sha256": "0" * 64, "xetHash": "x", "filename": "f"}]},
    {"repository": "a/twin", "visibility": "public"},
    {"paths": ["d", "w.bin"], "expand": True},
    {"operation": "upload", "objects": [{"oid": "1" * 64, "size": 3}], "hash_algo": "sha256"},
    ITEM,
    *(
        [{"key": "header", "value": {"summary": "s", "parentCommit": None}}, {"key": key, "value": FILE}]
        for key in ("file", "lfsFile", "deletedFile", "deletedFolder")
    ),
]
"""Bodies that clients send; one value of each is another in most requests. A list is the lines of a commit."""


def body(draw: Any) -> bytes:
    sound = draw(st.sampled_from(SOUND))
    sent = swapped(sound, draw) if draw(st.integers(0, 3)) else sound
    if isinstance(sent, list):
        return b"\n".join(json.dumps(line).encode() for line in sent)
    return json.dumps(sent).encode() if draw(st.integers(0, 9)) else draw(st.binary(max_size=60))


HEADERS = st.dictionaries(
    st.sampled_from(["Range", "Content-Type", "If-None-Match", "If-Range"]),
    st.sampled_from(
        ["bytes=0-1", "bytes=-", "bytes=9-1", "bytes=0-1,0-1,5-", "application/json", '"x"', "bytes=" + "0-0," * 200]
    ),
    max_size=2,
)


@pytest.fixture(scope="module")
def filled(hub):
    api = HfApi(endpoint=hub.url, token=hub.token)
    for kind in ("model", "dataset"):
        api.create_repo("a/b", repo_type=kind)
        add = [CommitOperationAdd("w.bin", b"\0w"), CommitOperationAdd("d/t.txt", b"t")]
        api.create_commit("a/b", add, commit_message="m", repo_type=kind)
    return hub


def address(route: str, draw: Any) -> str:
    """A route with something in each of its places; those of a repo mostly name one."""
    route = re.sub(r"\(\?P<(?:rev|access|status|write)>.*?\)(?=[-/]|$)|\(\?:.*?\)\??", "{word}", route).replace("\\", "")
    usual = {"{kind}": "models", "{ns}": "a", "{name}": "b", "{prefix}": ""}
    for place, word in usual.items():
        if place in route and draw(st.integers(0, 9)):
            route = route.replace(place, word)
    return re.sub(r"\{[a-z*]+\}", lambda _: quote(draw(WORDS), safe=draw(st.sampled_from(["", "/"]))), route)


@pytest.mark.slow
@LOOSE
@given(data=st.data())
def test_no_request_is_an_internal_error(filled, data):
    method, route, _ = data.draw(st.sampled_from(ROUTES))
    sent = body(data.draw)
    headers = {"Authorization": f"Bearer {filled.token}"} | data.draw(HEADERS)
    link = http.client.HTTPConnection(urlsplit(filled.url).netloc, timeout=30)
    method = data.draw(st.sampled_from([method] * 8 + ["HEAD", "DELETE", "PATCH"]))
    link.putrequest(method, address(route, data.draw) or "/", skip_accept_encoding=True)
    for name, value in {**headers, "Content-Length": str(len(sent))}.items():
        link.putheader(name, value)
    link.endheaders(sent)
    answer = link.getresponse()
    said = answer.read()
    assert answer.status < 500, (method, said)
    assert filled.token.encode() not in said
    link.close()

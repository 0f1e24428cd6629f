"""Clients that are slow, greedy or far away."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub import errors as hf
from huggingface_hub.utils import parse_ratelimit_headers

from yulan.errors import StateError
from yulan.rehearsal import running_hub
from yulan.rehearsal.app import THREADS
from yulan.rehearsal.body import AHEAD
from yulan.rehearsal.limits import Limits
from yulan.rehearsal.serve import serve

SILENCE = 2.0


@pytest.fixture(scope="module")
def brisk(tmp_path_factory):
    """A hub of little patience, with one repo."""
    with running_hub(tmp_path_factory.mktemp("brisk") / "root", limits=Limits(silence=SILENCE)) as hub:
        HfApi(endpoint=hub.url, token=hub.token).create_repo("a/b")
        yield hub


def connect(hub):
    return socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2])), timeout=20)


def head(hub, length, path="/api/models/a/b/branch/x"):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hub.token}\r\nContent-Length: {length}\r\n\r\n".encode()


def dribble(hub, start, byte=b"a"):
    """Send `start`, then a byte now and then; returns seconds until the hub ends it, and its last words."""
    began, said = time.monotonic(), b""
    with connect(hub) as link:
        link.sendall(start)
        link.settimeout(SILENCE / 10)
        while time.monotonic() - began < 6 * SILENCE:
            try:
                new = link.recv(4096)
                said += new
                if not new:
                    break
            except TimeoutError:
                with contextlib.suppress(OSError):
                    link.sendall(byte)
            except ConnectionError:
                break
    return time.monotonic() - began, said


@pytest.mark.parametrize("start", [b"", b"GET /api/models/a/b HTTP/1.1\r\nX-Slow: "])
def test_a_head_that_does_not_end_is_cut_off(brisk, start):
    seconds, said = dribble(brisk, start)
    assert SILENCE / 2 < seconds < 3 * SILENCE
    assert not said.startswith(b"HTTP/1.1 200")


def test_a_second_head_that_does_not_end_is_cut_off_too(brisk):
    seconds, said = dribble(brisk, b"GET /api/whoami-v2 HTTP/1.1\r\nHost: x\r\n\r\nGET /")
    assert seconds < 3 * SILENCE
    assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("length", [100, 10 * AHEAD])
def test_a_body_that_dribbles_is_cut_off(brisk, length):
    seconds, said = dribble(brisk, head(brisk, length), b" ")
    assert SILENCE / 2 < seconds < 4 * SILENCE
    assert said.startswith(b"HTTP/1.1 408")
    assert f"The body did not get on for {SILENCE:g} s".encode() in said


def test_more_slow_clients_than_threads_do_not_keep_others_waiting(tmp_path):
    with running_hub(tmp_path / "root", limits=Limits(silence=30)) as hub, contextlib.ExitStack() as crowd:
        api = HfApi(endpoint=hub.url, token=hub.token)
        api.create_repo("a/b")
        for n in range(THREADS + 50):
            crowd.enter_context(connect(hub)).sendall(head(hub, 10 * AHEAD) + b"x" if n % 2 else b"GET / HT")
        began = time.monotonic()
        api.create_commit("a/b", [CommitOperationAdd("f.txt", b"f")], commit_message="served")
        assert api.list_repo_files("a/b") == [".gitattributes", "f.txt"]
        assert time.monotonic() - began < 10


def test_a_client_that_reads_slowly_keeps_nobody_waiting(brisk):
    api = HfApi(endpoint=brisk.url, token=brisk.token)
    content = os.urandom(8 << 20)
    api.upload_file(path_or_fileobj=content, path_in_repo="big.bin", repo_id="a/b")
    with contextlib.ExitStack() as crowd:
        links = [crowd.enter_context(connect(brisk)) for _ in range(20)]
        for link in links:
            link.sendall(b"GET /a/b/resolve/main/big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        with ThreadPoolExecutor(8) as others:
            assert len(list(others.map(lambda _: api.model_info("a/b").id, range(16)))) == 16
        # Slow is not wrong: who begins to read after a while gets it all.
        time.sleep(1.5 * SILENCE)
        got = bytearray()
        while len(got) < len(content):
            got += links[0].recv(1 << 20)
        assert bytes(got).partition(b"\r\n\r\n")[2][:1000] == content[:1000]


def test_a_commit_is_bounded_in_operations(brisk, ask, monkeypatch):
    rows = [{"key": "header", "value": {"summary": "s"}}]
    rows += [{"key": "deletedFile", "value": {"path": f"{n}"}} for n in range(25_001)]
    body = "\n".join(json.dumps(row) for row in rows).encode()
    status, _, said = ask(f"{brisk.url}/api/models/a/b/commit/main", "POST", body, Authorization=f"Bearer {brisk.token}")
    assert (status, json.loads(said)["error"]) == (413, "A commit has at most 25000 operations")


def test_a_rate_limit_is_told_in_advance_and_waited_for(tmp_path, ask):
    with running_hub(tmp_path / "root", limits=Limits(api=6, resolvers=2, window=4)) as hub:
        api = HfApi(endpoint=hub.url, token=hub.token)
        api.create_repo("a/b")
        told = ask(f"{hub.url}/api/models/a/b", Authorization=f"Bearer {hub.token}")[1]
        info = parse_ratelimit_headers(told)
        assert (info.resource_type, info.remaining, info.limit, info.window_seconds) == ("api", 4, 6, 4)
        for _ in range(4):
            api.model_info("a/b")
        with pytest.raises(hf.HfHubHTTPError, match="reached your 'api' rate limit") as caught:
            api.model_info("a/b")
        assert caught.value.response.status_code == 429
        assert "We had to rate limit you" in str(caught.value)
        # Another who calls is counted apart, and downloads are counted apart from calls.
        assert HfApi(endpoint=hub.url, token=hub.read_token).model_info("a/b").id == "a/b"
        for status in (200, 200, 429):
            assert ask(f"{hub.url}/a/b/resolve/main/.gitattributes")[0] == status
        # The stock client waits until the window is over, where it tries again by itself.
        began = time.monotonic()
        assert api.hf_hub_download("a/b", ".gitattributes", cache_dir=tmp_path / "cache")
        assert [row.path for row in api.list_repo_tree("a/b")] == [".gitattributes"]
        assert time.monotonic() - began < 20


def test_a_host_that_others_reach_must_be_meant(tmp_path):
    with pytest.raises(StateError, match=r"0\.0\.0\.0: other machines could reach the hub here\. Leave --host out, or add --exp"):
        serve(tmp_path, 0, "0.0.0.0")
    command = [sys.executable, "-m", "yulan.cli", "hub", "serve", "--root", str(tmp_path / "root"), "--host", "0.0.0.0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, refused.stdout) == (6, "")
    process = subprocess.Popen([*command, "--exposed"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith("listening on http://0.0.0.0:")
        process.terminate()
        assert process.communicate(timeout=20)[1].startswith("Warning: whoever reaches 0.0.0.0 can read what is not private")
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("asked", "status", "length", "range_"),
    [
        ("bytes=0-9", 206, 10, "bytes 0-9/1000"),
        ("bytes=-5", 206, 5, "bytes 995-999/1000"),
        ("bytes=990-", 206, 10, "bytes 990-999/1000"),
        ("bytes=0-9999", 206, 1000, "bytes 0-999/1000"),
        ("bytes=1000-", 416, 0, "bytes */1000"),
    ],
)
def test_a_range_is_answered_as_asked(brisk, ask, asked, status, length, range_):
    api = HfApi(endpoint=brisk.url, token=brisk.token)
    api.upload_file(path_or_fileobj=bytes(range(250)) * 4, path_in_repo="r.bin", repo_id="a/b")
    got, headers, body = ask(f"{brisk.url}/a/b/resolve/main/r.bin", Range=asked)
    assert (got, len(body), headers["Content-Range"]) == (status, length, range_)

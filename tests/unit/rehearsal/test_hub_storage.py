"""The hub across restarts, kills and crowds."""

import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download

from yulan import digest
from yulan.errors import HubError, ResourceError
from yulan.rehearsal import running_hub
from yulan.rehearsal.serve import serve


def api_of(hub):
    return HfApi(endpoint=hub.url, token=hub.token)


def state(hub, repo):
    refs = api_of(hub).list_repo_refs(repo, include_pull_requests=True)
    rows = refs.branches + refs.tags + refs.pull_requests
    return {row.ref: (row.target_commit, api_of(hub).list_repo_files(repo, revision=row.ref)) for row in rows}


def test_a_restart_keeps_everything(tmp_path):
    with running_hub(tmp_path / "root") as hub:
        api = api_of(hub)
        api.create_repo("a/b", private=True)
        api.upload_file(path_or_fileobj=b"\0w", path_in_repo="w.bin", repo_id="a/b")
        api.create_tag("a/b", tag="v1")
        api.create_branch("a/b", branch="x/y")
        api.create_pull_request("a/b", "P")
        before, token = state(hub, "a/b"), hub.token
    with running_hub(tmp_path / "root") as hub:
        assert state(hub, "a/b") == before
        assert hub.token == token
        assert api_of(hub).model_info("a/b").private is True
        got = hf_hub_download("a/b", "w.bin", revision="v1", endpoint=hub.url, token=token, cache_dir=tmp_path / "cache")
        assert Path(got).read_bytes() == b"\0w"


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_a_kill_in_the_middle_of_a_commit_leaves_the_old_state_or_the_new(tmp_path, ask, moment):
    lines = [{"key": "header", "value": {"summary": "s"}}]
    lines += [{"key": "file", "value": {"path": f"{n}.txt", "content": f"{moment} {n}"}} for n in range(40)]
    body = "\n".join(json.dumps(line) for line in lines).encode()

    def send(hub):
        # The stock client would try a dead hub again for minutes.
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(f"{hub.url}/api/models/a/b/commit/main", "POST", body, Authorization=f"Bearer {hub.token}")

    with running_hub(tmp_path / "root") as hub:
        api_of(hub).create_repo("a/b")
        old = state(hub, "a/b")
        sender = threading.Thread(target=send, args=(hub,))
        sender.start()
        time.sleep(moment)
        os.kill(hub.pid, signal.SIGKILL)
        sender.join()
    with running_hub(tmp_path / "root") as hub:
        now = state(hub, "a/b")
        assert now == old or len(now["refs/heads/main"][1]) == 41
        assert not list((tmp_path / "root").rglob("*.partial"))


def test_a_kill_in_the_middle_of_a_large_upload_leaves_nothing(tmp_path, ask):
    data = os.urandom(1 << 20)
    with running_hub(tmp_path / "root") as hub:
        api_of(hub).create_repo("a/b")
        wanted = {"operation": "upload", "objects": [{"oid": digest.of_bytes(data), "size": len(data)}]}
        url = f"{hub.url}/a/b.git/info/lfs/objects/batch"
        _, _, answer = ask(url, "POST", json.dumps(wanted).encode(), Authorization=f"Bearer {hub.token}")
        path = json.loads(answer)["objects"][0]["actions"]["upload"]["href"].removeprefix(hub.url)
        with socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2]))) as half:
            half.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[: 1 << 19])
            time.sleep(0.3)
            os.kill(hub.pid, signal.SIGKILL)
    objects = tmp_path / "root" / "objects" / digest.of_bytes(data)[:2] / digest.of_bytes(data)[2:]
    assert not objects.exists()
    with running_hub(tmp_path / "root") as hub:
        assert not list((tmp_path / "root").rglob("*.partial"))
        # The address outlives the hub that gave it, so a client that tries again goes on.
        assert ask(hub.url + path, "PUT", data)[0] == 200
        assert objects.read_bytes() == data


def test_commits_of_a_crowd_are_all_kept(api, repo):
    def one(n):
        api.create_commit(repo, [CommitOperationAdd(f"{n}.txt", str(n).encode())], commit_message=str(n))

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(one, range(24)))
    assert len(api.list_repo_files(repo)) == 25
    assert sorted(int(row.title) for row in api.list_repo_commits(repo)[:-1]) == list(range(24))


def test_tokens_are_for_their_owner_only_and_never_printed(tmp_path):
    root = tmp_path / "root"
    process = subprocess.Popen(
        [sys.executable, "-m", "yulan.rehearsal", str(root)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    url = process.stdout.readline().split()[-1]
    token = (root / "token").read_text().strip()
    HfApi(endpoint=url, token=token).create_repo("a/b")
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert rest == ""
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("token", "token-read")] == [0o600, 0o600]
    assert not [
        path for path in root.rglob("*") if path.is_file() and path.name != "token" and token.encode() in path.read_bytes()
    ]


def test_an_error_of_the_hub_itself_is_logged_without_the_token(tmp_path, ask, capfd):
    with running_hub(tmp_path / "root") as hub:
        api_of(hub).create_repo("a/b")
        (tmp_path / "root/repos/models/a/b/refs.json").write_bytes(b"spoilt from outside")
        status, _, said = ask(f"{hub.url}/api/models/a/b", Authorization=f"Bearer {hub.token}")
        assert (status, json.loads(said)) == (500, {"error": "Internal Error"})
    log = capfd.readouterr().err
    assert "JSONDecodeError" in log
    assert hub.token not in log


def test_it_answers_on_loopback_only(hub):
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f"{int(hub.url.rpartition(':')[2]):04X}"
    assert {row[1] for row in rows if row[1].endswith(f":{port}") and row[3] == "0A"} == {f"0100007F:{port}"}


def test_a_port_in_use_is_said_with_its_cure(tmp_path, hub):
    port = int(hub.url.rpartition(":")[2])
    with pytest.raises(ResourceError, match=rf"127.0.0.1:{port}: the port is in use\. Choose another one with --port"):
        serve(tmp_path / "other", port)


def test_an_address_of_another_machine_is_said_with_its_cure(tmp_path):
    with pytest.raises(ResourceError, match=r"192\.0\.2\.1:0: cannot listen here \(.+\)\. Choose a --port above 1023, and leave"):
        serve(tmp_path, 0, "192.0.2.1", exposed=True)


def test_the_command_says_one_line_on_an_error_and_its_exit_code(tmp_path, hub):
    port = hub.url.rpartition(":")[2]
    command = [sys.executable, "-m", "yulan.cli", "hub", "serve", "--root", str(tmp_path), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr == f"Error: 127.0.0.1:{port}: the port is in use. Choose another one with --port, or 0 for any\n"


def test_a_client_that_falls_silent_is_let_go(tmp_path):
    with running_hub(tmp_path / "root") as hub, socket.create_connection(("127.0.0.1", int(hub.url.rpartition(":")[2]))) as half:
        api_of(hub).create_repo("a/b")
        head = (
            f"POST /api/models/a/b/branch/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hub.token}\r\nContent-Length: 9\r\n\r\n"
        )
        half.sendall(head.encode() + b"{")
        # Others are served meanwhile, and a hub that is told to stop does not wait for it.
        assert api_of(hub).model_info("a/b").id == "a/b"
        os.kill(hub.pid, signal.SIGTERM)
        assert half.recv(1) in {b"", b"H"}


def test_two_hubs_do_not_share_a_root(tmp_path, capfd):
    with running_hub(tmp_path / "root"):
        with pytest.raises(HubError, match="the rehearsal hub did not start"), running_hub(tmp_path / "root"):
            pass
        assert "another process works in this folder" in capfd.readouterr().err

"""LFS and Xet, each as the stock client chooses it, and what reaches the hub's objects."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from yulan import digest
from yulan.rehearsal.commits import large
from yulan.rehearsal.objects import Objects
from yulan.rehearsal.refused import Refused
from yulan.rehearsal.routes_lfs import PART
from yulan.rehearsal.xet import GROUPED, LZ4, Chunk, Xet, read_shard, unpack

UP = """
import json
from huggingface_hub import HfApi
from huggingface_hub.utils._runtime import is_xet_available
api = HfApi()
api.upload_folder(repo_id={repo!r}, folder_path={folder!r})
rows = api.list_repo_tree({repo!r}, recursive=True)
print(json.dumps([is_xet_available(), {{row.path: [row.lfs.sha256, row.xet_hash] for row in rows if getattr(row, "lfs", None)}}]))
"""
DOWN = """
import json
from huggingface_hub import snapshot_download
print(json.dumps(snapshot_download({repo!r})))
"""


@pytest.fixture
def folder(tmp_path):
    """A file that fits one PUT, one in three parts, one that repeats itself, one whose bytes group by four."""
    import numpy

    up = tmp_path / "up"
    up.mkdir()
    (up / "small.bin").write_bytes(os.urandom(1000))
    (up / "parts.bin").write_bytes(os.urandom(2 * PART + 5))
    (up / "again.bin").write_bytes(os.urandom(15) * 200_000)
    (up / "floats.safetensors").write_bytes(numpy.random.default_rng().normal(size=300_001).astype("float32").tobytes() + b"end")
    return up


@pytest.mark.parametrize("up", ["xet", "lfs"])
@pytest.mark.parametrize("down", ["xet", "lfs"])
def test_bytes_that_go_up_one_way_come_down_another(run_client, repo, folder, up, down, tmp_path):
    used, rows = run_client(UP.format(repo=repo, folder=str(folder)), xet=up == "xet", folder=tmp_path / "up-home")
    assert used == (up == "xet")
    assert {path: sha256 for path, (sha256, _) in rows.items()} == {p.name: digest.of_file(p) for p in folder.iterdir()}
    assert all((hash is not None) == (up == "xet") for _, hash in rows.values())
    got = run_client(DOWN.format(repo=repo), xet=down == "xet", folder=tmp_path / "down-home")
    for path in folder.iterdir():
        assert digest.of_file(tmp_path.__class__(got) / path.name) == digest.of_file(path)


def test_identical_bytes_are_not_sent_twice_by_lfs(hub, ask, repo, run_client, folder):
    run_client(UP.format(repo=repo, folder=str(folder)), xet=False)
    wanted = [{"oid": digest.of_file(p), "size": p.stat().st_size} for p in folder.iterdir()]
    assert all("actions" not in row for row in batch(hub, ask, repo, wanted)["objects"])


def batch(hub, ask, repo, objects, **more):
    body = json.dumps({"operation": "upload", "objects": objects, **more}).encode()
    return json.loads(ask(f"{hub.url}/{repo}.git/info/lfs/objects/batch", "POST", body, Authorization=f"Bearer {hub.token}")[2])


def test_an_upload_address_is_good_for_its_bytes_only(hub, ask, repo):
    data = b"promised"
    row = batch(hub, ask, repo, [{"oid": digest.of_bytes(data), "size": len(data)}])["objects"][0]
    href = row["actions"]["upload"]["href"]
    for body, status, says in (
        (b"promises", 400, "The bytes have sha256"),
        (b"prom", 400, "4 bytes came of the 8 promised"),
        (b"promised and more", 413, "More than the 8 bytes promised"),
    ):
        got, _, answer = ask(href, "PUT", body)
        assert got == status
        assert says in json.loads(answer)["error"]
    forged = href[:-1] + ("0" if href[-1] != "0" else "1")
    parts = href.split("/")
    late = "/".join([*parts[:-2], str(int(time.time()) + 10**6), parts[-1]])
    other = href.replace(digest.of_bytes(data), digest.of_bytes(b"other"))
    for url in (forged, late, other):
        assert ask(url, "PUT", data)[0] == 403
    assert ask(href, "PUT", data)[0] == 200


def test_a_part_that_is_missing_or_short_is_refused(hub, ask, repo):
    row = batch(hub, ask, repo, [{"oid": "1" * 64, "size": PART + 3}])["objects"][0]["actions"]["upload"]
    status, _, answer = ask(row["href"], "POST", b"{}")
    assert (status, json.loads(answer)["error"]) == (400, "Not every part was uploaded")
    status, _, answer = ask(row["header"]["2"], "PUT", b"ab")
    assert (status, json.loads(answer)["error"]) == (400, "2 bytes came of the 3 promised")


def test_the_same_parts_may_come_from_two_clients_at_once(hub, ask, repo):
    data = os.urandom(3 * PART)
    asked = [{"oid": digest.of_bytes(data), "size": len(data)}]
    roads = [batch(hub, ask, repo, asked)["objects"][0]["actions"]["upload"] for _ in range(2)]

    def send(road):
        for n in range(3):
            assert ask(road["header"][str(n + 1)], "PUT", data[n * PART : (n + 1) * PART])[0] == 200
        return ask(road["href"], "POST", b"{}")[0]

    with ThreadPoolExecutor(2) as both:
        assert list(both.map(send, roads)) == [200, 200]
    assert "actions" not in batch(hub, ask, repo, asked)["objects"][0]


def test_a_batch_is_for_uploads_by_sha256(hub, ask, repo):
    good = {"oid": "1" * 64, "size": 1}
    assert "Only uploads" in batch(hub, ask, repo, [good], operation="download")["error"]
    assert "Only sha256" in batch(hub, ask, repo, [good], hash_algo="md5")["error"]
    assert batch(hub, ask, repo, [{"oid": "../x", "size": 1}])["objects"][0]["error"]["code"] == 422


def test_xet_tokens_are_held_to_their_scope(hub, ask, repo):
    def token(kind, bearer):
        return ask(f"{hub.url}/api/models/{repo}/xet-{kind}-token/main", Authorization=f"Bearer {bearer}")

    assert token("write", hub.read_token)[0] == 403
    reader = token("read", hub.read_token)[1]["X-Xet-Access-Token"]
    url = f"{hub.url}/v1/xorbs/default/{'0' * 64}"
    assert ask(url, "POST", b"", Authorization=f"Bearer {reader}")[0] == 403
    assert ask(url, "POST", b"", Authorization=f"Bearer {reader}0")[0] == 401
    assert ask(f"{hub.url}/v1/reconstructions/{'0' * 64}", Authorization=f"Bearer {reader}")[0] == 404
    assert ask(f"{hub.url}/xet/xorb/{'0' * 64}/9999999999/{'0' * 64}")[0] == 403


@pytest.fixture
def write_token(hub, ask, repo):
    return ask(f"{hub.url}/api/models/{repo}/xet-write-token/main", Authorization=f"Bearer {hub.token}")[1]["X-Xet-Access-Token"]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/shards", b"not a shard", "Not a shard"),
        ("/v1/shards", b"HFRepoMetaData\0" + bytes(33), "The shard is cut short"),
        ("/v1/shards", b"HFRepoMetaData\0" + bytes(33) + bytes(48), "does not say which sha256"),
        ("/v1/shards", b"HFRepoMetaData\0" + bytes(33) + bytes(35) + b"\x40\1" + bytes(11) + bytes(96), "was not uploaded"),
    ],
)
def test_a_shard_that_promises_what_is_not_there_is_refused(hub, ask, write_token, path, body, says):
    status, _, answer = ask(hub.url + path, "POST", body, Authorization=f"Bearer {write_token}")
    assert status == 400
    assert says in json.loads(answer)["error"]


def shard(sha256, size):
    """One file of one chunk, in the xorb 00…0."""
    from struct import pack

    words = pack("<4Q", *(int(sha256[n : n + 16], 16) for n in range(0, 64, 16)))
    head = b"HFRepoMetaData\0" + bytes(33)
    return (
        head
        + pack("<32sIIQ", b"\7" * 32, 1 << 30, 1, 0)
        + pack("<32s4I", bytes(32), 0, size, 0, 1)
        + words
        + bytes(16)
        + b"\xff" * 48
    )


def test_a_file_that_came_by_xet_counts_only_with_the_right_sha256(tmp_path):
    xet, objects = Xet(tmp_path / "xet"), Objects(tmp_path / "objects")
    right, wrong = digest.of_bytes(b"abc"), digest.of_bytes(b"abd")
    xet.receive_xorb([b"\0\3\0\0\0\3\0\0abc"], "0" * 64)
    for sha256 in (right, wrong):
        (file,) = read_shard(shard(sha256, 3))
        assert (file.sha256, file.size) == (sha256, 3)
        xet.receive_shard(shard(sha256, 3))
    with pytest.raises(Refused, match="The bytes have sha256"):
        xet.settle(wrong, 3, objects)
    assert not objects.has(wrong)
    with pytest.raises(Refused, match="chunks that xorb"):
        xet.receive_shard(shard(right, 4))


def test_the_pointer_of_a_large_file_has_the_id_that_git_gives_it():
    # printf 'version …\noid sha256:<of "abc">\nsize 3\n' | git hash-object --stdin
    import subprocess

    entry = large(digest.of_bytes(b"abc"), 3)
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest.of_bytes(b'abc')}\nsize 3\n"
    found = subprocess.run(
        ["git", "hash-object", "--stdin"], input=text, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert entry.blob_id == found


def test_a_chunk_that_does_not_unpack_is_refused():
    with pytest.raises(Refused, match="A chunk does not unpack"):
        unpack(b"nonsense", Chunk(offset=0, end=16, size=8, compression=LZ4))


@pytest.mark.parametrize("size", [1, 4, 6, 7, 4097])
def test_grouped_bytes_are_put_back_in_their_order(size):
    import pyarrow

    plain = bytes(n % 251 for n in range(size))
    packed = pyarrow.compress(b"".join(plain[lane::4] for lane in range(4)), codec="lz4", asbytes=True)
    assert unpack(packed, Chunk(offset=0, end=0, size=size, compression=GROUPED)) == plain

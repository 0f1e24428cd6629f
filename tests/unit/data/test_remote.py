"""Pinned files of the Hub and of a bucket come with the pinned bytes or not at all."""

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.unit.conftest import Spoil
from tests.unit.data.corpus_kit import source, sources_of
from yulan import digest
from yulan.data.sources import gather, located
from yulan.errors import DataError, IntegrityError, RecipeError
from yulan.manifest import File
from yulan.recipe.sources import Folder, Package, Sources, load_sources
from yulan.rehearsal import running_hub

LINES = b'{"text": "one"}\n{"text": "two"}\n'
BINARY = bytes(range(256)) * 40_000
HELD = {"data/a b.jsonl": LINES, "data/big.bin": BINARY}
NOBODY = Package(version="1", file="a.whl", sha256="0" * 64, size=1, licence="MIT")


def pinned(address: str, held: dict[str, bytes] = HELD) -> Folder:
    files = (File(path=path, size=len(data), sha256=digest.of_bytes(data)) for path, data in held.items())
    return Folder(address=address, licence="MIT", files=tuple(files))


def sources_in(folder: Folder, path: str = "data/*") -> Sources:
    taken = source(package="set", reader="rows", options={"column": "text"}, paths=(path,))
    return sources_of(NOBODY, packages={}, folders={"set": folder}, sources={"web/set": taken}, benchmarks={}, generator=None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """(endpoint, token, address) of a private data set on the rehearsal hub."""
    from huggingface_hub import CommitOperationAdd, HfApi

    with running_hub(tmp_path_factory.mktemp("hub") / "root") as hub:
        api = HfApi(endpoint=hub.url, token=hub.token)
        api.create_repo("tests/set", repo_type="dataset", private=True)
        added = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=data) for path, data in HELD.items()]
        commit = api.create_commit("tests/set", added, commit_message="two files", repo_type="dataset")
        yield hub.url, hub.token, f"hf://datasets/tests/set@{commit.oid}"


@pytest.fixture
def address(dataset: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    endpoint, token, address = dataset
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HF_TOKEN", token)
    return address


def test_files_of_a_data_set_are_fetched_once(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wanted = sources_in(pinned(address))
    assert gather(wanted, tmp_path / "downloads", tmp_path / "data") == {"set": 2}
    assert {path: (tmp_path / "data/set" / path).read_bytes() for path in HELD} == HELD
    assert len(located(tmp_path / "data", wanted.sources["web/set"])) == 2
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert gather(wanted, tmp_path / "downloads", tmp_path / "again") == {"set": 2}
    assert sorted(path.name for path in (tmp_path / "downloads").iterdir()) == sorted(map(digest.of_bytes, HELD.values()))


def test_only_the_files_that_are_named_are_fetched(address: str, tmp_path: Path):
    assert gather(sources_in(pinned(address), "data/*.jsonl"), tmp_path / "downloads", tmp_path / "data") == {"set": 1}
    with pytest.raises(DataError, match=r"no file 'other/\*' in the pinned files of set\. Correct the path"):
        gather(sources_in(pinned(address), "other/*"), tmp_path / "downloads", tmp_path / "data")


@pytest.mark.parametrize("held", [LINES + b"more", LINES[:-1], LINES.replace(b"one", b"two")], ids=["longer", "shorter", "other"])
def test_a_source_that_moved_is_refused_by_name(held: bytes, address: str, tmp_path: Path):
    told = pinned(address, {"data/a b.jsonl": held})
    with pytest.raises(IntegrityError, match=r"\$\.folders\.set: data/a b\.jsonl has moved: it is not the pinned file\. Do not"):
        gather(sources_in(told), tmp_path / "downloads", tmp_path / "data")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_revision_or_file_that_is_gone_is_named(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gone = pinned(address[:-40] + "0" * 40)
    with pytest.raises(DataError, match=r"cannot be read from hf://datasets/tests/set@0{40}\. Check the network"):
        gather(sources_in(gone), tmp_path / "downloads", tmp_path / "data")
    with pytest.raises(DataError, match=r"data/c cannot be read from"):
        gather(sources_in(pinned(address, {"data/c": b"c"})), tmp_path / "downloads", tmp_path / "data")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(DataError, match="cannot be read from") as found:
        gather(sources_in(pinned(address)), tmp_path / "downloads", tmp_path / "data")
    assert "HF_TOKEN" not in str(found.value)


class Bucket(BaseHTTPRequestHandler):
    """GET and HEAD of objects, as S3 answers them to a stranger."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        data = HELD.get(unquote(urlsplit(self.path).path).removeprefix("/texts/v1/"))
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if data is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, stop = (int(part[1]), min(int(part[2] or len(data)) + 1, len(data))) if part else (0, len(data))
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("ETag", '"etag"')
        if part:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[start:stop])

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    yield "s3://texts/v1"
    server.shutdown()


def test_files_of_a_bucket_are_fetched_and_held_to_their_pins(bucket: str, tmp_path: Path):
    assert gather(sources_in(pinned(bucket)), tmp_path / "downloads", tmp_path / "data") == {"set": 2}
    assert (tmp_path / "data/set/data/big.bin").read_bytes() == BINARY
    moved = pinned(bucket, {"data/a b.jsonl": LINES * 2})
    with pytest.raises(IntegrityError, match="has moved: it is not the pinned file"):
        gather(sources_in(moved), tmp_path / "downloads", tmp_path / "data")
    with pytest.raises(DataError, match="data/none cannot be read from s3://texts/v1"):
        gather(sources_in(pinned(bucket, {"data/none": b"x"})), tmp_path / "downloads", tmp_path / "data")


def test_a_pinned_path_stays_in_its_folder(bucket: str, tmp_path: Path):
    with pytest.raises(IntegrityError, match=r"the file name '\.\./data' is not allowed"):
        gather(sources_in(pinned(bucket, {"../data": b"x"}), "**"), tmp_path / "downloads", tmp_path / "data")


@pytest.mark.parametrize(
    "address",
    [
        "hf://datasets/a/b@main",
        "hf://models/a/b",
        "s3://",
        "https://a/b",
        "file:///etc",
        "s3://bucket/../other",
        "hf://datasets/a/b",
    ],
)
def test_an_address_that_does_not_pin_or_is_of_another_kind_is_refused(address: str, spoil: Spoil):
    file = {"path": "a", "size": 1, "sha256": "0" * 64}
    with pytest.raises(RecipeError, match=r"\$\.folders\.set\.address"):
        load_sources(spoil("sources.yaml", "folders", {"set": {"address": address, "licence": "MIT", "files": [file]}}))


def test_a_folder_and_a_package_have_names_of_their_own():
    with pytest.raises(RecipeError, match=r"\$\.folders\.set: 'set' is a package and a folder\. Rename one"):
        replace(sources_in(pinned("s3://texts")), packages={"set": NOBODY})

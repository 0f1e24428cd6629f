"""Bad lists, checkpoints, names and places as a user meets them: the stated code, one line, and nothing is done."""

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.unit.release.kit import NAME, contents, fill
from yulan.cli import main
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.release.hub import Hub


def refused(words: list[str], code: int, *said: str) -> str:
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, type(done.exception)) == (code, SystemExit), done.output
    line = done.stderr.splitlines()[0]
    assert line.startswith("Error: ")
    assert all(each in done.stderr for each in said), done.stderr
    assert all(c.isprintable() for c in done.stderr.replace("\n", ""))
    return line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "model" / "main", {"model.safetensors": b"weights", "sub/config.json": b"{}"})
    return tmp_path / "model" / "main"


def listing(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        raw = json.loads((folder / "manifest.json").read_text())
        change(raw)
        (folder / "manifest.json").write_text(json.dumps(raw))

    return edit


def name(text: str) -> Callable[[Path], object]:
    return listing(lambda raw: raw["files"][0].update(path=text))


def add(*names: str) -> Callable[[Path], object]:
    return listing(lambda raw: raw["files"].extend({"path": each, "size": 1, "sha256": "0" * 64} for each in names))


def text(data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "manifest.json").write_bytes(data)


LONG = "a" * 300
BAD: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "..": (name("../outside"), 5, "'../outside' is not allowed"),
    ".. inside": (name("sub/../../outside"), 5, "is not allowed"),
    "absolute": (name("/etc/passwd"), 5, "'/etc/passwd' is not allowed"),
    "a drive": (name("C:\\x"), 5, "is not allowed"),
    "NUL": (name("a\0b"), 5, "is not allowed"),
    "newline": (name("a\nb"), 5, "is not allowed"),
    "ANSI": (name("\x1b[2Jx"), 5, "is not allowed"),
    "right to left": (name("cod\u202egpj.exe"), 5, "is not allowed"),
    "half a pair": (text(b'{"files": [{"path": "\\ud800"}]}'), 4, "not JSON"),
    "empty name": (name(""), 4, "'' should be non-empty"),
    "long": (name(LONG), 5, "is not allowed"),
    "case twin": (add("sub/CONFIG.json"), 5, "stands twice"),
    "Unicode twin": (add(unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")), 5, "stands twice"),
    "Unicode case twin": (add("straße", "STRASSE"), 5, "stands twice"),
    "listed twice": (add("model.safetensors"), 5, "stands twice"),
    "a file in a file": (add("model.safetensors/x"), 5, "'model.safetensors/x' would lie in a file"),
    "unlisted": (lambda folder: (folder / "more.bin").write_bytes(b"x"), 5, "extra    more.bin"),
    "missing": (lambda folder: (folder / "model.safetensors").unlink(), 5, "missing  model.safetensors"),
    "a link": (lambda folder: os.symlink("/etc/hostname", folder / "x"), 5, "link     x"),
    "a pipe": (lambda folder: os.mkfifo(folder / "x"), 5, "link     x"),
    "short digest": (listing(lambda raw: raw["files"][0].update(sha256="ab")), 4, "$.files[0].sha256: 'ab' does not match"),
    "uppercase digest": (listing(lambda raw: raw["files"][0].update(sha256="A" * 64)), 4, "$.files[0].sha256: "),
    "no digest": (listing(lambda raw: raw["files"][0].pop("sha256")), 4, "$.files[0]: missing key 'sha256'"),
    "negative size": (listing(lambda raw: raw["files"][0].update(size=-1)), 4, "-1 is less than the minimum of 0"),
    "size as text": (listing(lambda raw: raw["files"][0].update(size="7")), 4, "'7' is not of type integer"),
    "another stage": (listing(lambda raw: raw.update(stage="../x")), 5, "does not match its manifest"),
    "empty": (text(b""), 4, "not JSON"),
    "a list": (text(b"[]"), 4, "'[]' is not of type object"),
    "not UTF-8": (text(b'{"a": "\xff"}'), 4, "cannot be read (UnicodeDecodeError)"),
    "key twice": (text(b'{"format": 1, "format": 1}'), 4, "a key stands twice"),
    "100 MB": (lambda folder: os.truncate(folder / "manifest.json", 100 << 20), 4, "at most 67,108,864 are read"),
    "deep": (text(b"[" * 300_000), 4, "not JSON"),
    "a number of many digits": (text(b"1" * 5000), 4, "not JSON"),
    "NaN": (text(b'{"format": NaN}'), 4, "not JSON: NaN is not a JSON number"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_list_is_refused_and_nothing_is_written(folder: Path, tmp_path: Path, kind: str):
    change, code, said = BAD[kind]
    change(folder)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    line = refused(["verify", str(folder)], code, said)
    assert len(line) < 1000
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


ADDRESSES = [
    "a/b",
    "hf://a/../b",
    "hf://../b",
    "hf://--flag/b",
    "hf://a/--flag",
    "hf://a/b@../x",
    "hf://a/b@--x",
    "hf://a/b@x;ls",
]
ADDRESSES += ["hf://a/b@$(ls)", "hf://a/b\n", "hf://a/b@\x1b[2J", "hf://a/b@x/../y", "hf://", "hf:///b", "hf://a/b c"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("command", ["pull", "audit"])
def test_a_bad_address_asks_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, command: str):
    monkeypatch.chdir(tmp_path)
    refused([command, address, "--from", "http://127.0.0.1:9"], 6, "is not an address of a re")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["pull", "audit"])
def test_what_looks_like_an_option_is_one(command: str):
    done = CliRunner().invoke(main, [command, "--flag/x"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "No such option" in done.stderr


def pull(hub: Served, into: Path, *more: str) -> list[str]:
    return ["pull", f"hf://{NAME}@final", "--from", hub.url, "--into", str(into), *more]


def test_a_folder_that_is_a_file_or_lies_in_one_stays_as_it_is(published: tuple[Layout, Served], tmp_path: Path):
    (tmp_path / "taken").write_text("mine")
    for into in (tmp_path / "taken", tmp_path / "taken" / "inner"):
        code = CliRunner().invoke(main, pull(published[1], into)).exit_code
        assert code in {6, 8}
        refused(pull(published[1], into), code, "taken")
    assert contents(tmp_path) == {"taken": b"mine"}


def test_a_folder_may_have_any_name(published: tuple[Layout, Served], tmp_path: Path):
    into = tmp_path / "mit Leer zeichen" / "模型 é;$(x)"
    done = CliRunner().invoke(main, pull(published[1], into))
    assert done.exit_code == 0, done.output
    assert CliRunner().invoke(main, ["verify", str(into)]).exit_code == 0


def test_a_name_that_no_disk_holds_is_refused(published: tuple[Layout, Served], tmp_path: Path):
    refused(pull(published[1], tmp_path / LONG), 8, "cannot be read or written (File name too long)")
    assert list(tmp_path.iterdir()) == []


def test_a_token_file_that_is_no_text_is_refused_without_a_word_of_it(published: tuple[Layout, Served], tmp_path: Path):
    token = tmp_path / "token"
    token.write_bytes(b"hf_\xff\xfesecret")
    line = refused(pull(published[1], tmp_path / "x", "--token-file", str(token)), 8, "cannot be read or written (Unicode")
    assert "secret" not in line


def test_a_token_is_in_no_word_that_is_printed(published: tuple[Layout, Served], tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("hf_" + "wrongButSecret" * 2)
    done = CliRunner().invoke(main, pull(published[1], tmp_path / "x", "--token-file", str(token)))
    assert "wrongButSecret" not in done.output
    done = CliRunner().invoke(main, ["publish", "--to", published[1].url, "--unsigned", "--token-file", str(token)])
    assert done.exit_code
    assert "wrongButSecret" not in done.output


def test_a_revision_that_moves_after_the_listing_is_pulled_as_it_was_listed(
    layout: Layout, hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from huggingface_hub import HfApi

    from tests.unit.release.kit import go

    go(layout, hub)
    api, tree, moved = HfApi(endpoint=hub.url, token=hub.token), Hub.tree, []

    def listed_then_moved(self: Hub, *words: Any, **more: Any) -> Any:
        found = tree(self, *words, **more)
        if not moved:
            moved.append(api.upload_file(path_or_fileobj=b"other", path_in_repo="config.json", repo_id=NAME))
        return found

    monkeypatch.setattr(Hub, "tree", listed_then_moved)
    words = pull(hub, tmp_path / "x")
    words[1] = f"hf://{NAME}@main"
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert moved
    assert contents(tmp_path / "x") == contents(layout.stage("bundle").data / "model" / "main")

"""A pulled folder is absent, `.partial` or verified, whenever the pull ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.release.kit import contents, fill
from tests.unit.release.pull_kit import SIZE, WEIGHTS, fetch, put, typed
from tests.unit.release.road import Road, Rule, road_to
from yulan import digest, files
from yulan.errors import ResourceError, StateError
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.verify import verify_folder


@pytest.mark.slow
def test_killed_at_any_point_it_leaves_no_name_and_a_rerun_asks_for_what_is_missing_only(
    home: tuple[Served, Path], road: Road, tmp_path: Path
):
    _, original = home
    into, partial = tmp_path / "it", tmp_path / "it.partial"
    road.rules.append(Rule(part="/resolve/", pace=2e6))
    points = range(0, 2 * SIZE, SIZE // 5)
    for point in points:
        before = {path.name.removesuffix(".partial"): path.stat().st_size for path in partial.rglob("*") if path.is_file()}
        named = {path.name for path in partial.rglob("*") if path.is_file() and path.suffix != ".partial"}
        begun = len(road.sent)
        process = typed(road.url, into)
        while sum(before.values()) + sum(row.size for row in road.sent[begun:] if ".safetensors" in row.path) < point + 1:
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not into.exists()
        for row in road.sent[begun:]:
            name = row.path.rpartition("/")[2]
            if name.endswith((".safetensors", ".txt")):
                assert name not in named
                assert row.start == before.get(name, 0)
    # What the last one left, while it was being fetched: nothing that has its own name is not whole.
    told = {file["path"]: file for file in json.loads((original / "manifest.json").read_text())["files"]}
    for path in partial.rglob("*"):
        if path.is_file() and path.suffix != ".partial":
            assert path.read_bytes() == (original / path.relative_to(partial)).read_bytes()
    road.rules.clear()
    begun, left = len(road.sent), sum(p.stat().st_size for p in partial.rglob("*") if p.is_file())
    assert typed(road.url, into).wait() == 0
    assert contents(into) == contents(original)
    assert (
        sum(row.size for row in road.sent[begun:] if "/resolve/" in row.path)
        <= sum(f["size"] for f in told.values()) - left + 5000
    )
    assert not [path for path in tmp_path.iterdir() if path != into]


def test_a_last_byte_that_was_written_but_not_named_is_not_asked_for_again(home: tuple[Served, Path], road: Road, tmp_path: Path):
    (tmp_path / "it.partial").mkdir()
    shutil.copy(home[1] / WEIGHTS, tmp_path / "it.partial" / f"{WEIGHTS}.partial")
    fetch(road.url, tmp_path / "it")
    assert not road.of(WEIGHTS)
    assert not road.of("empty.bin"), "nothing is to be asked for"
    assert verify_folder(tmp_path / "it")


def test_two_pulls_into_one_folder_are_not_at_work_at_once(home: tuple[Served, Path], road: Road, tmp_path: Path):
    slowly = Rule(part=WEIGHTS, pace=1e5)
    road.rules.append(slowly)
    first = typed(road.url, tmp_path / "it")
    while not road.of(WEIGHTS):
        assert first.poll() is None
        time.sleep(0.01)
    with pytest.raises(StateError, match="another process works in this folder"):
        fetch(home[0].url, tmp_path / "it")
    slowly.pace = None
    assert first.wait() == 0
    assert fetch(home[0].url, tmp_path / "it").fetched == 0
    assert os.listdir(tmp_path) == ["it"]


def test_a_branch_that_moves_while_it_is_pulled_gives_the_commit_that_was_agreed_on(tmp_path: Path):
    old, new = tmp_path / "old" / "main", tmp_path / "new" / "main"
    for folder, seed in ((old, b"1"), (new, b"2")):
        fill(folder, {"a.bin": seed * 100, "model.bin": seed * 200_000})
    with running_hub(tmp_path / "hub") as served, road_to(served.url) as road:
        put(served, old)
        road.rules += [Rule(part="model.bin", cut=65536, times=1), Rule(part="model.bin")]
        moved: list[bool] = []

        def move(line: str) -> None:
            if line.startswith("model.bin") and not moved:
                moved.append(True)
                put(served, new)

        fetch(road.url, tmp_path / "it", say=move)
        assert moved
        assert contents(tmp_path / "it") == contents(old)
        # And what an interrupted pull of the old one left does not stand in the way of the new one.
        (tmp_path / "again.partial").mkdir()
        (tmp_path / "again.partial" / "model.bin.partial").write_bytes(b"1" * 70_000)
        shutil.copy(old / "a.bin", tmp_path / "again.partial")
        fetch(road.url, tmp_path / "again")
        assert contents(tmp_path / "again") == contents(new)


def test_names_with_spaces_and_other_scripts_are_folders_like_any(home: tuple[Served, Path], tmp_path: Path):
    into = tmp_path / "玉兰 mini ü" / "re lease"
    fetch(home[0].url, into)
    assert contents(into) == contents(home[1])


def test_what_cannot_be_a_folder_is_said_in_one_line(home: tuple[Served, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    for into in (tmp_path / "file", tmp_path / "link", Path("."), Path("/")):
        with pytest.raises(StateError, match="something else stands there"):
            fetch(home[0].url, into)
    with pytest.raises(ResourceError, match="a file stands where a folder is needed"):
        fetch(home[0].url, tmp_path / "file" / "below")
    with pytest.raises(ResourceError, match=r"not allowed to write here|the file system is read-only"):
        fetch(home[0].url, Path("/proc/1/it") if os.getuid() else Path("/sys/it"))
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_space_is_asked_for_before_a_byte_is_fetched(
    home: tuple[Served, Path], road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 2 * SIZE - 1))
    with pytest.raises(ResourceError, match=r"bytes are needed and 6,291,455 are free"):
        fetch(road.url, tmp_path / "it")
    assert not road.of(WEIGHTS)
    assert os.listdir(tmp_path) == []
    # What is there already need not have room again.
    (tmp_path / "it.partial").mkdir()
    shutil.copy(home[1] / WEIGHTS, tmp_path / "it.partial" / WEIGHTS)
    fetch(road.url, tmp_path / "it")


def test_memory_does_not_grow_with_a_file(tmp_path: Path):
    """A file of 300 MB through `bring` in a process of its own."""
    code = f"""
import hashlib, resource
from pathlib import Path
from yulan.release.bring import bring
from yulan.release.hub import Remote
from yulan.release.place import Place
block, count = bytes(1 << 16), 4800
def blocks(start):
    for _ in range(count):
        yield block
state = hashlib.sha256()
for each in blocks(0):
    state.update(each)
remote = Remote(size=count << 16, sha256=state.hexdigest(), blob="")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made = bring([Place(name="here", read=blocks)], "x", remote, Path({str(tmp_path)!r}) / "x")
assert made.wire == count << 16
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert grown < 8 << 10, f"{grown} KiB"


def test_bytes_are_hashed_once(home: tuple[Served, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What was hashed on its way is not read again, unless something touched it since."""
    again: list[tuple[str, int]] = []
    for name in ("of_file", "of_mapped"):
        plain = getattr(digest, name)
        monkeypatch.setattr(digest, name, lambda path, plain=plain: again.append((path.name, path.stat().st_size)) or plain(path))
    fetch(home[0].url, tmp_path / "it")
    assert {name for name, _ in again} == {"manifest.json", "card.json"}
    again.clear()
    # One thread, so that what is begun first is told first.
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    verify_folder(tmp_path / "it")
    assert again[0][1] == again[1][1] == SIZE, "the largest first"

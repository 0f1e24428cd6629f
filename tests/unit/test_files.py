import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from yulan import files
from yulan.errors import ResourceError, StateError
from yulan.files import Operation


@pytest.fixture
def log() -> Iterator[list[Operation]]:
    """Every operation of the test, in order."""
    rows: list[Operation] = []
    files.observers.append(rows.append)
    yield rows
    files.observers.remove(rows.append)


def test_a_file_gets_its_name_only_when_it_is_whole_and_durable(tmp_path: Path, log: list[Operation]):
    files.write_text(tmp_path / "a.txt", "words")
    assert [each.kind for each in log] == ["write", "fsync", "rename", "fsync"]
    assert log[2].target == tmp_path / "a.txt"
    assert log[3].path == tmp_path


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_write_that_is_cut_short_leaves_the_old_file_and_no_litter(tmp_path: Path, cut: int):
    path = files.write_text(tmp_path / "a.txt", "old")
    seen: list[Operation] = []

    def stop(operation: Operation) -> None:
        seen.append(operation)
        if len(seen) == cut + 1:
            raise KeyboardInterrupt

    files.observers.append(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            files.write_text(path, "new")
    finally:
        files.observers.remove(stop)
    # The third operation is the rename: after it the new file is whole under its name.
    assert path.read_text() == ("new" if cut == 2 else "old")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_equal_values_give_equal_json(tmp_path: Path):
    files.write_json(tmp_path / "a", {"b": 1, "a": "人"})
    files.write_json(tmp_path / "b", {"a": "人", "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == '{\n "a": "人",\n "b": 1\n}\n'.encode()


def test_not_a_number_is_never_written(tmp_path: Path):
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(tmp_path / "a", float("nan"))
    assert not list(tmp_path.iterdir())


def test_published_files_follow_the_umask(tmp_path: Path):
    old = os.umask(0o027)
    try:
        files.write_text(tmp_path / "a", "")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path):
    def fill(*, stop: bool) -> None:
        with files.new_folder(tmp_path / "made") as folder:
            files.write_text(folder / "in" / "a", "x")
            if stop:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(stop=True)
    assert not (tmp_path / "made").exists()
    fill(stop=False)
    assert (tmp_path / "made" / "in" / "a").read_text() == "x"
    assert not (tmp_path / "made.partial").exists()


def test_a_folder_that_cannot_be_filled_gives_its_space_back(tmp_path: Path):
    def fill() -> None:
        with files.new_folder(tmp_path / "made") as folder:
            files.write_text(folder / "a", "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("act", [files.lock, files.remove])
def test_a_disk_that_refuses_a_lock_or_a_removal_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], object]
):
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    files.write_text(tmp_path / "a", "")
    monkeypatch.setattr(files.os, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ResourceError, match="the file system is read-only"):
        act(tmp_path / "a")


def test_names_in_a_new_folder_are_made_durable_once_and_before_its_own(tmp_path: Path, log: list[Operation]):
    with files.new_folder(tmp_path / "made") as folder:
        files.write_text(folder / "in" / "a", "x")
        files.write_text(folder / "in" / "b", "x")
    tail = [(each.kind, each.path.name) for each in log if each.path.name in {"made.partial", "in", tmp_path.name}]
    assert tail == [
        ("mkdir", "made.partial"),
        ("mkdir", "in"),
        ("fsync", "in"),
        ("fsync", "made.partial"),
        ("rename", "made.partial"),
        ("fsync", tmp_path.name),
    ]
    assert [each.kind for each in log].count("fsync") == 5


def test_a_torn_last_row_is_dropped_and_the_others_are_read(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    files.append(path, [{"step": 1}, {"step": 2}], durable=True)
    with path.open("ab") as file:
        file.write(b'{"step": 3')
    assert files.complete_rows(path) == [{"step": 1}, {"step": 2}]
    assert files.complete_rows(tmp_path / "none") == []


def test_rows_read_back(tmp_path: Path):
    path = files.write_rows(tmp_path / "rows", [{"b": 1, "a": 2}])
    assert path.read_text() == '{"a": 2, "b": 1}\n'


def test_a_link_leaves_the_first_name_and_copies_nothing(tmp_path: Path):
    files.write_text(tmp_path / "tree" / "a", "x")
    files.link_tree(tmp_path / "tree", tmp_path / "twin")
    assert (tmp_path / "tree" / "a").samefile(tmp_path / "twin" / "a")


def test_a_link_is_removed_and_what_it_points_to_stays(tmp_path: Path):
    files.write_text(tmp_path / "tree" / "a", "x")
    (tmp_path / "way").symlink_to(tmp_path / "tree")
    files.remove(tmp_path / "way")
    files.remove(tmp_path / "nothing")
    assert (tmp_path / "tree" / "a").exists()
    files.remove(tmp_path / "tree")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, r"no space left on the disk\. Free some space"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EIO, "the disk reports an input or output error"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "not allowed to write here"),
    ],
)
def test_what_the_disk_refuses_is_said_with_its_cure_and_leaves_nothing(tmp_path: Path, number: int, words: str):
    def refuse(operation: Operation) -> None:
        raise OSError(number, os.strerror(number))

    files.observers.append(refuse)
    try:
        with pytest.raises(ResourceError, match=words):
            files.write_text(tmp_path / "a", "x")
    finally:
        files.observers.remove(refuse)
    assert not list(tmp_path.iterdir())


def test_a_fault_nobody_can_cure_is_not_dressed_up(tmp_path: Path):
    def refuse(operation: Operation) -> None:
        raise OSError(errno.ELOOP, "too many links")

    files.observers.append(refuse)
    try:
        with pytest.raises(OSError, match="too many links"):
            files.write_text(tmp_path / "a", "x")
    finally:
        files.observers.remove(refuse)


def test_a_file_where_a_folder_is_needed_is_named(tmp_path: Path):
    (tmp_path / "a").write_text("")
    with pytest.raises(ResourceError, match="a file stands where a folder is needed"):
        files.write_text(tmp_path / "a" / "b", "x")
    with pytest.raises(ResourceError, match="a file stands where a folder is needed"):
        files.make_folder(tmp_path / "a")


def test_a_disk_too_small_is_said_before_anything_is_written(tmp_path: Path):
    files.require_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(ResourceError, match=r"1,000,000,000,000,000,000 bytes are needed and [\d,]+ are free"):
        files.require_space(tmp_path, 10**18)


def test_a_folder_has_one_worker_and_a_killed_one_frees_it(tmp_path: Path):
    holds = "import sys; from pathlib import Path; from yulan import files; files.lock(Path(sys.argv[1])); print(1, flush=True)"
    program = f"{holds}; sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if other.stdout is None:
        raise RuntimeError
    other.stdout.readline()
    with pytest.raises(StateError, match="another process works in this folder"):
        files.lock(tmp_path / "lock")
    threading.Timer(0.3, other.kill).start()
    os.close(files.lock(tmp_path / "lock", patience=30.0))
    other.communicate()


def test_rows_are_plain_json(tmp_path: Path):
    files.append(tmp_path / "log", [{"a": 0.1}])
    assert json.loads((tmp_path / "log").read_text()) == {"a": 0.1}

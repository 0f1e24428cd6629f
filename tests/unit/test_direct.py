"""Files past the page cache hold what was written, wherever the disk takes it directly or not."""

import errno
import hashlib
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from yulan import direct
from yulan.direct import BUFFER, Direct, open_direct
from yulan.errors import ResourceError


@pytest.fixture
def disk() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.parametrize("size", [0, 1, 4096, BUFFER - 1, BUFFER, 3 * BUFFER + 5])
@pytest.mark.parametrize("part", [4097, 3 * BUFFER])
def test_bytes_of_any_number_in_any_parts_arrive(tmp_path: Path, disk: ThreadPoolExecutor, size: int, part: int):
    data = os.urandom(size)
    with open_direct(tmp_path / "a", disk) as out:
        for low in range(0, size, part):
            out.write(data[low : low + part])
    assert (tmp_path / "a").read_bytes() == data
    assert os.listdir(tmp_path) == ["a"]


def test_what_the_disk_does_not_take_directly_goes_the_common_way(
    tmp_path: Path, disk: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
):
    # No block of a disk: the system refuses the first write with EINVAL, as a file system without direct writing does.
    monkeypatch.setattr(direct, "BUFFER", 1000)
    data = os.urandom(10_500)
    with open_direct(tmp_path / "a", disk) as out:
        out.write(data)
    assert (tmp_path / "a").read_bytes() == data


def _write(path: Path, disk: ThreadPoolExecutor, buffers: int) -> None:
    with open_direct(path, disk) as out:
        out.write(bytes(buffers * BUFFER))


def test_a_file_that_the_system_cuts_is_told_and_leaves_nothing(tmp_path: Path, disk: ThreadPoolExecutor):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * BUFFER, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            _write(tmp_path / "a", disk, 8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_line(tmp_path: Path, disk: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(direct.os, "write", full)
    with pytest.raises(ResourceError, match="no space left"):
        _write(tmp_path / "a", disk, 3)
    assert os.listdir(tmp_path) == []


def _interrupted(path: Path, disk: ThreadPoolExecutor, done: list[bool]) -> None:
    with open_direct(path, disk) as out:
        out.write(bytes(BUFFER))
        out.under_way[0].add_done_callback(lambda _: done.append(True))
        raise InterruptedError


def test_a_block_that_fails_waits_for_the_write_under_way(tmp_path: Path, disk: ThreadPoolExecutor):
    done: list[bool] = []
    with pytest.raises(InterruptedError):
        _interrupted(tmp_path / "a", disk, done)
    assert done == [True]
    assert os.listdir(tmp_path) == []


def test_all_bytes_are_shown_in_their_order(tmp_path: Path):
    data, running = os.urandom(5 * BUFFER + 123), hashlib.sha256()
    with ThreadPoolExecutor(2) as threads, (tmp_path / "a").open("wb") as file:
        out = Direct(file, threads, running.update)
        for low in range(0, len(data), 1 << 16):
            out.write(data[low : low + (1 << 16)])
        out.close()
    assert (tmp_path / "a").read_bytes() == data
    assert running.digest() == hashlib.sha256(data).digest()


def test_a_file_is_gone_on_with_at_any_byte(tmp_path: Path):
    data = os.urandom(2 * BUFFER + 77)
    (tmp_path / "a").write_bytes(data[:77])
    with ThreadPoolExecutor(2) as threads, (tmp_path / "a").open("a+b") as file:
        out = Direct(file, threads)
        out.write(data[77:])
        out.close()
    assert (tmp_path / "a").read_bytes() == data

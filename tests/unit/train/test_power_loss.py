"""A save whose log of writes, fsyncs and renames is cut at every point. SIGKILL cannot show this: the page cache survives it."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.train.test_checkpoint import RECIPE, save
from yulan import files
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.scan import newest, step_name
from yulan.train.checkpoint.state import read_state
from yulan.train.checkpoint.write import retain


class Disk:
    """What of a folder is on the platter: contents since a file's fsync, names since their folder's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.contents: dict[int, bytes] = {}
        self.names: dict[int, dict[str, int]] = {}
        self.held: list[int] = []
        for folder, _, there in os.walk(root):
            self.sync(Path(folder))
            for name in there:
                self.sync(Path(folder) / name)

    def sync(self, path: Path) -> None:
        inode = path.stat().st_ino
        # An open descriptor keeps the inode's number from being given to another file.
        self.held.append(os.open(path, os.O_RDONLY))
        if stat.S_ISDIR(path.stat().st_mode):
            self.names[inode] = {entry.name: entry.inode() for entry in os.scandir(path)}
            self.names |= {entry.inode(): {} for entry in os.scandir(path) if entry.is_dir() and entry.inode() not in self.names}
        else:
            self.contents[inode] = path.read_bytes()

    def without_names(self, into: Path, inode: int | None = None) -> Path:
        """After a cut that loses every name whose folder was not synced."""
        into.mkdir()
        for name, each in self.names[self.root.stat().st_ino if inode is None else inode].items():
            if each in self.names:
                self.without_names(into / name, each)
            else:
                (into / name).write_bytes(self.contents.get(each, b""))
        return into

    def without_contents(self, into: Path, folder: Path | None = None) -> Path:
        """After a cut that keeps every name, but of a file that was not synced only the name."""
        into.mkdir()
        for entry in os.scandir(folder or self.root):
            if entry.is_dir():
                self.without_contents(into / entry.name, Path(entry.path))
            else:
                (into / entry.name).write_bytes(self.contents.get(entry.inode(), b""))
        return into

    def close(self) -> None:
        for each in self.held:
            os.close(each)


@pytest.fixture
def cuts(tmp_path: Path) -> Iterator[Callable[[], list[str | None]]]:
    """Save step 4 beside step 2, sweep step 2, and return what a start after each possible cut finds."""
    state = read_state(write_initial(tmp_path / "init", RECIPE))
    root = tmp_path / "checkpoints"
    save(root, 2, state)
    disk, found, count = Disk(root), [], 0

    def observe(operation: files.Operation) -> None:
        nonlocal count
        if operation.kind == "fsync":
            disk.sync(operation.path)
        for look in (disk.without_names, disk.without_contents):
            count += 1
            here, _ = newest(look(tmp_path / f"cut-{count}"))
            found.append(here.name if here else None)

    def run() -> list[str | None]:
        files.observers.append(observe)
        save(root, 4, state)
        retain(root, 4, keep=1, every=2, begin=0)
        return found

    yield run
    files.observers.remove(observe)
    disk.close()


def test_after_a_power_cut_at_any_point_of_a_save_a_whole_checkpoint_is_found(cuts: Callable[[], list[str | None]]):
    found = cuts()
    assert len(found) > 40
    assert set(found) == {step_name(2), step_name(4)}
    assert found[-1] == step_name(4)


def test_the_simulation_notices_a_file_that_is_not_synced(cuts: Callable[[], list[str | None]], monkeypatch: pytest.MonkeyPatch):
    told = files._done
    monkeypatch.setattr(files, "_done", lambda kind, path, target=None: None if kind == "fsync" else told(kind, path, target))
    with pytest.raises(Exception, match=r"no checkpoint is whole|not in list|did not"):
        assert set(cuts()) == {step_name(2), step_name(4)}, "did not"

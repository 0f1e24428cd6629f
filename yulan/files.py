"""The only code that writes. Temporary name, fsync, rename, fsync of the parent: a name either does not
exist or holds everything it should.

Every primitive reports to `observers` after it is done, so a test can cut the log of writes, fsyncs and
renames at each point and show that whatever counts as complete still loads.
"""

import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from yulan.errors import ResourceError, StateError, YulanError


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing done to the disk: `write`, `fsync`, `rename`, `link`, `mkdir` or `remove`."""

    kind: str
    path: Path
    target: Path | None = None


observers: list[Callable[[Operation], None]] = []
PARTIAL = ".partial"
_filling: set[Path] = set()
"""Folders that `new_folder` makes durable as a whole, so names in them need not be one by one."""


def _done(kind: str, path: Path, target: Path | None = None) -> None:
    for observe in observers:
        observe(Operation(kind, path, target))


@contextmanager
def _curable(path: Path) -> Iterator[None]:
    """Turn the disk's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        cures = {
            errno.ENOSPC: ("no space left on the disk", "Free some space, then run the same command again"),
            errno.EDQUOT: ("the disk quota is used up", "Free some space, then run the same command again"),
            errno.EIO: ("the disk reports an input or output error", "Check the disk, or choose a folder on another one"),
            errno.EROFS: ("the file system is read-only", "Choose a folder that can be written"),
            errno.EACCES: ("not allowed to write here", "Change the folder's permissions or choose another one"),
            errno.ENOTDIR: ("a file stands where a folder is needed", "Move that file away or choose another folder"),
            errno.EEXIST: ("a file stands where a folder is needed", "Move that file away or choose another folder"),
        }
        if error.errno not in cures:
            raise
        what, cure = cures[error.errno]
        raise ResourceError(what, where=path, cure=cure) from error


def sync_name(path: Path) -> None:
    """Make a name durable, unless it is or lies in a folder that will be so as a whole."""
    if _filling.isdisjoint((path, *path.parents)):
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    _done("fsync", path)


def make_folder(path: Path) -> Path:
    """Create a folder and its parents; each new name is made durable."""
    with _curable(path):
        missing = [p for p in (path, *path.parents) if not p.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for each in reversed(missing):
            _done("mkdir", each)
            sync_name(each)
    return path


def move(source: Path, target: Path) -> None:
    """Give a file or folder another name on the same disk, in place of what has it now."""
    with _curable(target):
        os.replace(source, target)
        _done("rename", source, target)
        sync_name(target)
        if source.parent != target.parent:
            sync_name(source)


@contextmanager
def open_new(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Write a file under a temporary name; it gets its own name, whole and durable, when the block ends well."""
    make_folder(path.parent)
    text = None if "b" in mode else "utf-8"
    with _curable(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=PARTIAL)
        temporary = Path(name)
        try:
            # mkstemp makes a file for its owner alone; published and shared files follow the umask.
            os.fchmod(handle, 0o666 & ~_umask())
            with os.fdopen(handle, mode, encoding=text, newline="" if text else None) as file:
                yield file
                file.flush()
                _done("write", temporary)
                os.fsync(file.fileno())
                _done("fsync", temporary)
            move(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _umask() -> int:
    """From /proc where there is one: `os.umask` tells only by setting, and threads that write at that moment would meet it."""
    if (status := Path("/proc/self/status")).exists():
        return int(status.read_text().partition("\nUmask:")[2].split(None, 1)[0], 8)
    os.umask(mask := os.umask(0))
    return mask


def write_bytes(path: Path, data: bytes) -> Path:
    with open_new(path) as file:
        file.write(data)
    return path


def write_text(path: Path, text: str) -> Path:
    return write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> Path:
    """Indented, sorted, one final newline: readable in a diff and equal for equal values."""
    return write_text(path, json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_rows(path: Path, rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> Path:
    """JSON lines, sorted keys."""
    with open_new(path, "w") as file:
        for row in rows:
            file.write(json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")
    return path


@contextmanager
def new_folder(path: Path, *, resume: bool = False) -> Iterator[Path]:
    """Fill `path` with `.partial` behind its name; it takes its own name, durable, when the block ends well.

    An older `.partial` is swept first, or gone on with; an existing `path` is replaced only at the end.
    """
    partial = path.with_name(path.name + PARTIAL)
    if not resume:
        remove(partial)
    make_folder(path.parent)
    with _curable(path):
        _filling.add(partial)
        try:
            make_folder(partial)
            yield partial
        except BaseException:
            if not resume:
                # A disk that is full has room again for those who tell of it.
                with suppress(OSError, YulanError):
                    remove(partial)
            raise
        finally:
            _filling.discard(partial)
        for folder, _, _ in os.walk(partial, topdown=False):
            sync_folder(Path(folder))
        remove(path)
        move(partial, path)


@contextmanager
def open_rest(path: Path) -> Iterator[IO[bytes]]:
    """Go on with a file that an earlier try left half written; it takes its own name, durable, when the block ends well.

    Writes go to its end; it can be read from its start. What is there when the block fails stays for the next try.
    """
    make_folder(path.parent)
    partial = path.with_name(path.name + PARTIAL)
    with _curable(path):
        with partial.open("a+b") as file:
            yield file
            file.flush()
            _done("write", partial)
            os.fsync(file.fileno())
            _done("fsync", partial)
        move(partial, path)


def append(path: Path, rows: list[dict[str, Any]], *, durable: bool = False) -> None:
    """Add JSON lines to a log. A torn last line is the reader's to drop (`complete_rows`)."""
    make_folder(path.parent)
    with _curable(path), path.open("ab") as file:
        file.writelines(json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n" for row in rows)
        file.flush()
        _done("write", path)
        if durable:
            os.fsync(file.fileno())
            _done("fsync", path)


def complete_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON-lines log, without a last line that a kill cut short."""
    if not path.exists():
        return []
    data = path.read_bytes()
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def link(source: Path, target: Path) -> None:
    """Give a file a second name; copy where the file system cannot. The first name stays."""
    make_folder(target.parent)
    with _curable(target):
        try:
            os.link(source, target)
            _done("link", source, target)
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
                raise
            copy(source, target)


def link_tree(source: Path, target: Path) -> None:
    """`link` for every file below a folder."""
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        link(path, target / path.relative_to(source))


def copy(source: Path, target: Path) -> None:
    with source.open("rb") as file, open_new(target) as out:
        shutil.copyfileobj(file, out, 1 << 20)


def remove(path: Path) -> None:
    """Remove a file or a tree, if it is there; never follow a link."""
    with _curable(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.exists() or path.is_symlink():
            path.unlink()
        else:
            return
        _done("remove", path)


def require_space(folder: Path, size: int) -> None:
    """Raise ResourceError unless `size` bytes fit on the disk that holds `folder`."""
    there = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    free = shutil.disk_usage(there).free
    if free < size:
        cure = "Free some space or choose a folder on another disk"
        raise ResourceError(f"{size:,} bytes are needed and {free:,} are free", where=folder, cure=cure)


def lock(path: Path, patience: float = 0.0) -> int:
    """Take the folder's exclusive lock; returns a descriptor that children inherit and the kernel frees.

    Raises: StateError: another process has held it for `patience` seconds.
    """
    make_folder(path.parent)
    with _curable(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    deadline = time.monotonic() + patience
    while not _locked(handle):
        if time.monotonic() >= deadline:
            os.close(handle)
            cure = "Wait for it to end, then run the same command again"
            raise StateError("another process works in this folder", where=path.parent, cure=cure)
        time.sleep(0.5)
    os.set_inheritable(handle, True)
    return handle


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

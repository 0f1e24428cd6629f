"""Put a fault into a process that was forked for it: around each thing done to the disk, in a step, in a save."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yulan import files
from yulan.train import run as run_module
from yulan.train.engine import Engine

Act = Callable[[], None]
Meet = Callable[[str, str, Path], None]
"""(`before` or `after`, kind of operation, path): called around each operation of `files`."""


def wrap(owner: Any, name: str, before: Callable[..., None]) -> None:
    """Call `before` with the arguments of each call of `owner.name`."""
    real = getattr(owner, name)

    def wrapped(*given: Any, **named: Any) -> Any:
        before(*given, **named)
        return real(*given, **named)

    setattr(owner, name, wrapped)


def meet_operations(meet: Meet) -> None:
    """From here on this process calls `meet` before and after each operation, and inside the removal of a folder.

    `files` tells of an operation once it is done; what comes before is met in the system calls that it makes.
    """

    def on_descriptor(handle: int) -> None:
        meet("before", "fsync", Path(os.readlink(f"/proc/self/fd/{handle}")))

    files.observers.append(lambda operation: meet("after", operation.kind, operation.path))
    wrap(os, "fsync", on_descriptor)
    wrap(os, "replace", lambda source, target: meet("before", "rename", Path(source)))
    wrap(tempfile, "mkstemp", lambda **named: meet("before", "write", Path(named["dir"]) / named["prefix"].strip(".")))
    wrap(shutil, "rmtree", lambda path: meet("before", "remove", Path(path)))
    wrap(Path, "mkdir", lambda path, **_: None if path.exists() else meet("before", "mkdir", path))
    wrap(Path, "unlink", lambda path, **_: meet("before", "remove", path))
    wrap(os, "unlink", lambda path, *, dir_fd=None: meet("inside", "remove", Path(str(path))))


def at_step(number: int, act: Act) -> None:
    """Before the optimizer's step of that number, counted in this process."""
    done = 0

    def count(*_: Any) -> None:
        nonlocal done
        done += 1
        if done == number:
            act()

    wrap(Engine, "step", count)


def in_save(number: int, begin: Act) -> None:
    """When the save of that number begins to be written, in the thread that writes it."""
    done = 0

    def count(*_: Any, **__: Any) -> None:
        nonlocal done
        done += 1
        if done == number:
            begin()

    wrap(run_module, "write_checkpoint", count)


def at_operation(save: int, number: int, act: Act) -> None:
    """At the point of that number (before and after each operation is one) of a save's writing."""

    def begin() -> None:
        points = 0

        def meet(when: str, kind: str, path: Path) -> None:
            nonlocal points
            if ".jsonl" in path.name:
                return
            points += 1
            if points == number:
                act()

        meet_operations(meet)

    in_save(save, begin)

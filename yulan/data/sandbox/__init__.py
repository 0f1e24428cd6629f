"""Run code of strangers, or of models, where it can reach nothing: no network, no files, no other process, under limits.

`why_not()` says whether this machine can do it; where it cannot, nothing is run. What each wall is made of stands in
`inside.py`, what it was tried with in tests/unit/data/test_sandbox.py.
"""

import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from yulan.errors import StateError

INSIDE = Path(__file__).with_name("inside.py")
SYSTEM = ("/usr", "/lib", "/lib64", "/bin")
"""Read-only inside, where they are there: the loader, the C library, programs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    cpu: int = 10
    """Seconds of processor time of each process."""
    wall: float = 20.0
    """Seconds."""
    memory: int = 1 << 29
    """Bytes of address space of each process."""
    processes: int = 8
    """And threads, at a time."""
    disk: int = 16 << 20
    """Bytes of its folder, which lies in memory; also of its longest file."""
    output: int = 1 << 20
    """Bytes of stdout and stderr together; who writes more is stopped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    ended: str
    """`done` (exit code 0), `failed`, `time`, `output`, `signal`, or `early`: code 0 before the program's last line."""
    code: int | None
    """Exit code, or the signal as a negative number; None: it was stopped."""
    output: str
    """stdout and stderr, as they came."""

    @property
    def passed(self) -> bool:
        return self.ended == "done"


def run_python(program: str, limits: Limits | None = None, files: Mapping[str, str] | None = None) -> Outcome:
    """Run one Python program with the standard library alone; it passes if its last line was reached and it ends with code 0.

    `files` are put beside it. Raises: StateError: this machine has no sandbox.
    """
    # Exit code 0 alone would let `exit()` in an answer skip the tests that follow it.
    mark = secrets.token_hex(16)
    told = {**(files or {}), "main.py": f"{program}\n\nimport sys as _s; _s.stdout.flush(); _s.stdout.write({mark!r})\n"}
    found = run([*interpreter(), "main.py"], told, limits)
    reached = mark in found.output
    return Outcome(
        ended="early" if found.passed and not reached else found.ended, code=found.code, output=found.output.replace(mark, "")
    )


def interpreter() -> list[str]:
    """This Python, without site packages, environment or bytecode."""
    return [str(Path(sys.executable).resolve()), "-I", "-S", "-B", "-X", "utf8"]


def run(
    command: Sequence[str],
    files: Mapping[str, str],
    limits: Limits | None = None,
    readable: Iterable[Path] = (),
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run `command` in an empty folder that holds `files` (name -> text); `readable` folders are seen, read-only, as well.

    `environment` is added to what there is: a PATH, a HOME and a LANG.

    Raises: StateError: this machine has no sandbox.
    """
    reason = why_not()
    if reason is None:
        try:
            return _run(command, files, limits or Limits(), readable, environment or {})
        except OSError as error:
            reason = str(error)
    raise StateError(
        f"the sandbox cannot be set up: {reason}",
        where="yulan.data.sandbox",
        cure="Allow unprivileged user namespaces (Linux 5.12 or later), or leave families out whose code is run",
    )


@cache
def why_not() -> str | None:
    """Why nothing can be run here, or None: one harmless program is tried."""
    if sys.platform != "linux":
        return f"{sys.platform} has no namespaces"
    try:
        tried = _run([*interpreter(), "-c", "print(1)"], {}, Limits(), (), {})
    except OSError as error:
        return str(error)
    return None if tried.passed and tried.output == "1\n" else f"a program that prints 1 ended with {tried.ended}"


def _run(
    command: Sequence[str], files: Mapping[str, str], limits: Limits, readable: Iterable[Path], environment: Mapping[str, str]
) -> Outcome:
    base = Path(sys.base_prefix).resolve()
    seen = _outermost([*(Path(name) for name in SYSTEM if Path(name).is_dir() and not Path(name).is_symlink()), base, *readable])
    told = {
        "command": list(command),
        "files": dict(files),
        "environment": {
            "PATH": "/usr/bin:/bin",
            "HOME": "/box",
            "LANG": "C.UTF-8",
            "LD_LIBRARY_PATH": f"{base}/lib",
            **environment,
        },
        "readable": [str(path) for path in seen],
        "links": {name: os.readlink(name) for name in SYSTEM if Path(name).is_symlink()},
        "cpu": limits.cpu,
        "memory": limits.memory,
        "processes": limits.processes,
        "disk": limits.disk,
    }
    report, tell = os.pipe()
    try:
        ours = subprocess.Popen(
            [*interpreter(), str(INSIDE), str(tell)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(tell,),
            env={"LD_LIBRARY_PATH": f"{base}/lib"},
            start_new_session=True,
        )
    finally:
        os.close(tell)
    with os.fdopen(report, "rb") as ending, ours:
        stopped, output = _watch(ours, json.dumps(told).encode(), limits)
        said = ending.read()
    ended = json.loads(said) if said else {}
    if "broken" in ended:
        raise OSError(ended["broken"])
    text = output.decode("utf-8", "replace")
    if stopped or "status" not in ended:
        return Outcome(ended=stopped or "signal", code=None, output=text)
    code = int(ended["status"])
    spent = code == -signal.SIGXCPU or (code == -signal.SIGKILL and ended["cpu"] >= limits.cpu)
    kind = "done" if code == 0 else "time" if spent else "signal" if code < 0 else "failed"
    return Outcome(ended=kind, code=code, output=text)


def _watch(process: "subprocess.Popen[bytes]", told: bytes, limits: Limits) -> tuple[str | None, bytes]:
    """Feed it, read what it says, and end it where it says or takes too much: (`time` or `output` or None, its output)."""
    deadline, output, stopped = time.monotonic() + limits.wall, bytearray(), None
    source, sink = process.stdin, process.stdout
    if source is None or sink is None:
        raise OSError("no pipes")
    source.write(told)
    source.close()
    with selectors.DefaultSelector() as ready:
        ready.register(sink, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not ready.select(left):
                stopped = "time"
                break
            block = os.read(sink.fileno(), 1 << 16)
            if not block:
                break
            output += block
            if len(output) > limits.output:
                stopped = "output"
                break
    if stopped:
        # The sandbox's first process dies with its parent, and all others with it.
        process.kill()
    process.wait()
    return stopped, bytes(output[: limits.output])


def _outermost(folders: Iterable[Path]) -> list[Path]:
    """Without those that lie in another."""
    different = sorted({folder.resolve() for folder in folders})
    return [each for each in different if not any(other in each.parents for other in different)]

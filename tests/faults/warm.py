"""Whole runs in a second: torchrun and its ranks are forked from a process that has torch and DeepSpeed imported.

Only torchrun itself is stood in for. The stage's side of the launcher, the ranks' entry, the loop, the engine and the
processes are the product's own, so they can be killed, stopped and signalled as on any machine.
"""

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from yulan.errors import YulanError, render
from yulan.train.backend import deepspeed
from yulan.train.launch import local, rank

GRACE = 2.0
"""Seconds that ranks have to end after SIGTERM; torchrun's own are 30."""
Nothing = Callable[[int], None]


def warm_up() -> None:
    """Import what ranks import, start no threads, and let children share all of it."""
    torch.set_num_threads(1)
    os.environ["DS_ACCELERATOR"] = "cpu"
    deepspeed()
    # An optimizer imports it as it is made, 4 s.
    importlib.import_module("torch._dynamo")
    importlib.import_module("yulan.train.loop")
    gc.collect()
    gc.freeze()


def fork(work: Callable[[], object], said: Path | None = None) -> int:
    """Run `work` in a child, its output in `said`; an error ends it as it ends the command. Returns: process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
        if said is not None:
            handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
        work()
        code = 0
    except YulanError as error:
        print(render(error), file=sys.stderr)
        code = error.exit_code
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def ended(pid: int, seconds: float) -> int | None:
    """Exit code of a child (minus the signal's number), or None if it still lives after so long."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            return None
        time.sleep(0.002)


class Agent:
    """What `subprocess.Popen` gives the launcher, of a forked process that does to the ranks what torchrun does."""

    in_rank: Nothing = staticmethod(lambda number: None)
    """Done in each rank before it begins: where faults are put in."""

    def __init__(self, command: list[str], *, stdin: int, stdout: Any, preexec_fn: Callable[[], None], **_: Any) -> None:
        count = int(next(word for word in command if word.startswith("--nproc-per-node=")).split("=")[1])
        job, said = command[-1], Path(stdout.name)

        def work() -> None:
            os.setsid()
            preexec_fn()
            os.dup2(stdin, 0)
            sys.exit(tend([fork(lambda n=n: _rank(job, n, count, port), said) for n in range(count)]))

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.returncode: int | None = None
        self.pid = fork(work, said)

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = ended(self.pid, 0)
        return self.returncode

    def wait(self) -> int | None:
        while self.poll() is None:
            time.sleep(0.002)
        return self.returncode

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def tend(ranks: list[int]) -> int:
    """Wait for all; SIGTERM is passed on; one that fails takes the others with it. Returns: torchrun's exit code."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    codes: dict[int, int] = {}
    deadline = None
    while len(codes) < len(ranks):
        for pid in set(ranks) - codes.keys():
            if (code := ended(pid, 0)) is not None:
                codes[pid] = code
        if deadline is None and (asked or any(codes.values())):
            deadline = time.monotonic() + (GRACE if any(codes.values()) else 30)
            for pid in set(ranks) - codes.keys():
                os.kill(pid, signal.SIGTERM)
        if deadline is not None and time.monotonic() > deadline:
            for pid in set(ranks) - codes.keys():
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    return 1 if any(codes.values()) else 0


def _rank(job: str, number: int, count: int, port: int) -> None:
    told = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in told.items()} | {"MASTER_ADDR": "127.0.0.1"}
    sys.argv = ["rank", job]
    Agent.in_rank(number)
    rank.main()


def stand_in(in_rank: Nothing) -> None:
    """From here on this process launches forked ranks."""
    Agent.in_rank = staticmethod(in_rank)  # type: ignore[method-assign]
    local.POLL = 0.01
    local.subprocess = types.SimpleNamespace(Popen=Agent)  # type: ignore[assignment]

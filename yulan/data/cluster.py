"""A Ray cluster for the time of a stage, joined or started here: the one file that imports ray.

Ray is an optional extra. Whatever it writes of its own accord lies in a folder inside the clone; its telemetry is off.
"""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yulan import files
from yulan.errors import StateError

STORE = 1 << 30
"""Bytes of shared memory for what partitions hand back; a part holds 64 MB of text."""
LEAST_STORE = 80 << 20
"""Ray refuses less."""
PATIENCE = 10.0
"""Seconds."""
SHARED = Path("/dev/shm")
ENVIRONMENT = {
    # Ray writes a token into the home folder otherwise.
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}


@contextmanager
def connected(address: str | None, scratch: Path, code: Path) -> Iterator[None]:
    """Join the cluster at `address`, or start one on this machine below `scratch`; leave or end it when the block ends.

    `code` is the folder that its workers import from. A cluster on several machines must see the clone under the same path.

    Raises: StateError: Ray is not installed, or no cluster answers at the address.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    ray = _ray()
    with _short(scratch) if address is None else _nowhere() as folder:
        # Workers of a cluster that is started here inherit it.
        os.environ["PYTHONPATH"] = os.pathsep.join([str(code), *filter(None, [os.environ.get("PYTHONPATH")])])
        quiet = {"log_to_driver": False, "configure_logging": False, "include_dashboard": False}
        try:
            if address is not None:
                _reach(address)
            if folder is None:
                ray.init(address=address, log_to_driver=False, configure_logging=False)
            else:
                ray.init(address="local", _temp_dir=folder, **_store(folder), **quiet)
        # ConnectionError and TimeoutError are OSErrors; another version of Ray or Python there is a RuntimeError.
        except (OSError, RuntimeError, ValueError) as error:
            raise StateError(
                "no Ray cluster can be used",
                where=address or "profile: $.data.address",
                cure="Start it with: ray start --head, or correct the address in the profile",
                evidence=str(error).splitlines(),
            ) from None
        try:
            yield
        finally:
            ray.shutdown()


def is_connected() -> bool:
    """Whether this process works on a cluster."""
    ray = sys.modules.get("ray")
    return bool(ray is not None and ray.is_initialized())


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise StateError(
            "Ray is not installed", where="profile: $.data.runner", cure="Run: .venv/bin/pip install '.[ray]', or write native"
        ) from None
    return ray


def _reach(address: str) -> None:
    """Ray itself asks for minutes before it gives up.

    Raises: OSError: nobody listens there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()


def _store(folder: str) -> dict[str, Any]:
    """Where Ray shares memory. It would fall back to /tmp by itself."""
    free = shutil.disk_usage(SHARED).free if SHARED.is_dir() else 0
    if free // 2 >= LEAST_STORE:
        return {"object_store_memory": min(STORE, free // 2)}
    return {"object_store_memory": LEAST_STORE, "_plasma_directory": folder}


@contextmanager
def _nowhere() -> Iterator[None]:
    yield None


@contextmanager
def _short(scratch: Path) -> Iterator[str]:
    """A new folder below `scratch`, by a short name. What a process left there that is no more goes.

    The path of a Unix socket has at most 107 bytes, of which Ray takes 60, and a clone may lie deep. The kernel's name of an
    open folder is short, and other processes of this user may use it.
    """
    for left in scratch.glob("*"):
        if left.name.isdecimal() and not Path(f"/proc/{left.name}").exists():
            files.remove(left)
    folder = files.make_folder(scratch / str(os.getpid()))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/{os.getpid()}/fd/{handle}"
    finally:
        os.close(handle)
        files.remove(folder)

"""Run the hub until it is told to stop."""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from signal import SIGINT, SIGTERM, signal

from yulan.errors import ResourceError, StateError
from yulan.rehearsal.limits import Limits


def _listen(host: str, port: int) -> socket.socket:
    """Raises: ResourceError: the port is taken or not allowed."""
    place = f"{host}:{port}"
    # Said to be TCP, since asyncio then answers without Nagle's delay: 40 ms a request.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ResourceError("the port is in use", where=place, cure="Choose another one with --port, or 0 for any") from None
        what = f"cannot listen here ({error.strerror})"
        raise ResourceError(what, where=place, cure="Choose a --port above 1023, and leave --host out") from None
    return listener


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(root: Path, port: int, host: str = "127.0.0.1", *, exposed: bool = False, limits: Limits | None = None) -> None:
    """Serve the hub kept under `root`, until SIGTERM or SIGINT. Port 0 takes any free one.

    One line goes to stdout, once clients can connect: `listening on http://HOST:PORT`.
    Raises: ResourceError: the port cannot be had. StateError: another hub serves this root, or others could reach this one and
    nobody said so.
    """
    import uvicorn

    from yulan.rehearsal.app import make_app
    from yulan.rehearsal.patient import within
    from yulan.rehearsal.store import Store

    if not _loopback(host):
        if not exposed:
            raise StateError("other machines could reach the hub here", where=host, cure="Leave --host out, or add --exposed")
        print(f"Warning: whoever reaches {host} can read what is not private, and tokens travel unencrypted", file=sys.stderr)
    limits = limits or Limits()
    listener = _listen(host, port)
    app = make_app(Store(root), limits)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            name = f"[{host}]" if ":" in host else host
            print(f"listening on http://{name}:{listener.getsockname()[1]}", flush=True)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn would raise the signal again when it is done, and end as if it were killed.
            for number in (SIGTERM, SIGINT):
                signal(number, self.handle_exit)
            yield

    # Addresses carry upload signatures: no access log. Idle connections outlive the pause between two client calls.
    config = uvicorn.Config(
        app,
        http=within(limits.silence),
        ws="none",
        log_level="error",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    Server(config).run(sockets=[listener])

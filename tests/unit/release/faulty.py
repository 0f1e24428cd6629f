"""A hub that fails at will: every request goes on to a real one, unless a fault says otherwise."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

from yulan.rehearsal import Hub as Served

Answer = tuple[int, dict[str, str], bytes]
Forward = Callable[[], Answer]
Fault = Callable[[str, str, Forward], Answer | None]
"""(method, path, forward) -> another answer, or None: nothing happens to this request."""


@dataclass
class Faulty:
    url: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """`METHOD path` of every request."""


@contextmanager
def faulty(served: Served) -> Iterator[Faulty]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.body()
            state.seen.append(f"{self.command} {self.path}")

            def forward() -> Answer:
                # The Host header stays, so that the hub writes addresses that lead here.
                upstream = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in {"transfer-encoding", "content-length"}}
                upstream.request(self.command, self.path, body or None, headers)
                reply = upstream.getresponse()
                return reply.status, dict(reply.getheaders()), reply.read()

            answers = (fault(self.command, self.path, forward) for fault in state.faults)
            status, headers, data = next((a for a in answers if a is not None), None) or forward()
            self.send_response(status)
            kept = {k: v for k, v in headers.items() if k.lower() not in {"transfer-encoding", "connection", "date", "server"}}
            for name, value in (kept if self.command == "HEAD" else kept | {"content-length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Faulty(url=f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def once(fault: Fault) -> Fault:
    """The fault until it has struck."""
    struck: list[bool] = []

    def strike(method: str, path: str, forward: Forward) -> Answer | None:
        answer = None if struck else fault(method, path, forward)
        if answer is not None:
            struck.append(True)
        return answer

    return strike


def on(method: str, part: str, answer: Callable[[Forward], Answer]) -> Fault:
    """A fault for requests of this method whose path holds `part`."""
    return lambda m, path, forward: answer(forward) if m == method and part in path else None


def says(status: int, message: str = "no") -> Callable[[Forward], Answer]:
    """Refuse without passing the request on."""
    return lambda _: (status, {"X-Error-Message": message, "content-type": "application/json"}, b'{"error": "no"}')


def lost(forward: Forward) -> Answer:
    """It happened, but the answer says that it failed."""
    forward()
    return 500, {"content-type": "application/json"}, b'{"error": "lost"}'

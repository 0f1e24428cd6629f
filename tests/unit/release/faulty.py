"""A hub that fails at will: every request goes on to a real one, unless a fault says otherwise."""

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

from yulan.rehearsal import Hub as Served

Answer = tuple[int, dict[str, str], bytes]
Forward = Callable[..., Answer]
"""Pass the request on: with `change(body)` in place of its body, or only the first `part` of it before the line is cut."""
Fault = Callable[[str, str, Forward], Answer | None]
"""(method, path, forward) -> another answer, or None: nothing happens to this request."""


@dataclass(frozen=True)
class Sent:
    """An upload, or the small files of a commit, as they came to the hub."""

    name: str
    """The object's sha256 and its part, or `commit`."""
    size: int
    """Bytes of files."""
    stored: bool
    """The hub answered 200, whether the client heard it or not."""


@dataclass
class Faulty:
    url: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """`METHOD path` of every request."""
    sent: list[Sent] = field(default_factory=list)

    def stored(self) -> set[str]:
        """Objects that are whole on the hub."""
        return {each.name for each in self.sent if each.stored and each.name != "commit"}


GONE: Answer = (0, {}, b"")
"""The line is cut without an answer."""


def _files(method: str, path: str, body: bytes) -> tuple[str, int] | None:
    """Name and bytes of the files in a request."""
    parts = path.split("/")
    if method == "PUT" and parts[1] == "lfs":
        return "/".join((parts[3], parts[5])), len(body)
    if method == "POST" and parts[1] == "api" and parts[5:6] == ["commit"]:
        rows = [json.loads(line) for line in body.splitlines() if line]
        return "commit", sum(len(base64.b64decode(row["value"]["content"])) for row in rows if row["key"] == "file")
    return None


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    parts = []
    while size := int(request.rfile.readline(), 16):
        parts.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(parts)


@contextmanager
def faulty(served: Served) -> Iterator[Faulty]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = _body(self)
            state.seen.append(f"{self.command} {self.path}")

            def forward(change: Callable[[bytes], bytes] = bytes, part: float = 1.0) -> Answer:
                # The Host header stays, so that the hub writes addresses that lead here.
                upstream = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in {"transfer-encoding", "content-length"}}
                given = change(body)
                if part < 1:
                    upstream.request(
                        self.command, self.path, given[: int(len(given) * part)], headers | {"content-length": str(len(given))}
                    )
                    upstream.close()
                    return GONE
                upstream.request(self.command, self.path, given or None, headers)
                reply = upstream.getresponse()
                if (sent := _files(self.command, self.path, given)) is not None:
                    state.sent.append(Sent(*sent, stored=reply.status == 200))
                return reply.status, dict(reply.getheaders()), reply.read()

            answers = (fault(self.command, self.path, forward) for fault in state.faults)
            status, headers, data = next((a for a in answers if a is not None), None) or forward()
            if status == GONE[0]:
                self.close_connection = True
                return
            self.send_response(status)
            kept = {k: v for k, v in headers.items() if k.lower() not in {"transfer-encoding", "connection", "date", "server"}}
            for name, value in (kept if self.command == "HEAD" else kept | {"content-length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

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

"""A bad road to a good server: what it sends is passed on as it comes, slowed, cut, altered or refused, and counted."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

BLOCK = 1 << 14


@dataclass(kw_only=True)
class Rule:
    part: str
    """Of the path of the requests that it is for."""
    status: int | None = None
    """To answer instead of passing the request on."""
    headers: dict[str, str] = field(default_factory=dict)
    pace: float | None = None
    """Bytes a second."""
    cut: int | None = None
    """Bytes after which the connection ends."""
    flip: int | None = None
    """The byte of the file that is altered."""
    whole: bool = False
    """Ranges are not known here."""
    times: int = 1 << 30
    """How often it strikes."""


@dataclass
class Sent:
    path: str
    start: int
    """Of the range that was asked for."""
    headers: dict[str, str]
    size: int = 0
    """Bytes of the answer's body."""


@dataclass
class Road:
    url: str
    rules: list[Rule] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    def rule(self, path: str) -> Rule:
        for rule in self.rules:
            if rule.part in path and rule.times > 0:
                rule.times -= 1
                return rule
        return Rule(part="")

    def of(self, part: str) -> list[Sent]:
        return [row for row in self.sent if part in row.path]


@contextmanager
def road_to(server: str) -> Iterator[Road]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
            row, rule = Sent(self.path, start, dict(self.headers)), road.rule(self.path)
            road.sent.append(row)
            if rule.status is not None:
                self.reply(rule.status, rule.headers | {"content-length": "0"})
                return
            drop = {"transfer-encoding"} | ({"range"} if rule.whole else set())
            upstream = http.client.HTTPConnection(urlsplit(server).netloc, timeout=60)
            kept = {k: v for k, v in self.headers.items() if k.lower() not in drop}
            upstream.request(self.command, self.path, body or None, kept)
            reply = upstream.getresponse()
            self.reply(reply.status, {k: v for k, v in reply.getheaders() if k.lower() not in {"connection", "date", "server"}})
            if self.command != "HEAD":
                self.pass_on(reply, row, rule, 0 if rule.whole else start)

        def reply(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def pass_on(self, reply: http.client.HTTPResponse, row: Sent, rule: Rule, place: int) -> None:
            while block := reply.read(BLOCK if rule.cut is None else min(BLOCK, rule.cut - row.size)):
                if rule.flip is not None and place <= rule.flip < place + len(block):
                    at = rule.flip - place
                    block = block[:at] + bytes([block[at] ^ 1]) + block[at + 1 :]
                with suppress(OSError):
                    self.wfile.write(block)
                    row.size += len(block)
                place += len(block)
                if rule.pace:
                    time.sleep(len(block) / rule.pace)
            if rule.cut is not None:
                self.close_connection = True

        do_GET = do_POST = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that was killed."""

    server_here = Server(("127.0.0.1", 0), Handler)
    server_here.daemon_threads = True
    road = Road(url=f"http://127.0.0.1:{server_here.server_port}")
    Thread(target=server_here.serve_forever, daemon=True).start()
    try:
        yield road
    finally:
        server_here.shutdown()
        server_here.server_close()

"""A small OpenAI-compatible server on this machine that answers by rule, and goes wrong when told to.

It answers a prompt with its words in reverse; `faults` is a list of what to do with the next requests, one each.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Server:
    address: str
    faults: list[str] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests that were answered well."""
    tries: int = 0
    authorised: list[str | None] = field(default_factory=list)
    busy: int = 0
    most: int = 0
    """Requests at a time, at most."""
    delay: float = 0.0
    name: str | None = None
    """What it calls itself, if not what it was asked for."""
    turn: threading.Lock = field(default_factory=threading.Lock)


def reversed_words(prompt: str) -> str:
    return " ".join(reversed(prompt.split()))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        state, body = self.state, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.turn:
            fault = state.faults.pop(0) if state.faults else ""
            state.tries += 1
            state.authorised.append(self.headers.get("Authorization"))
            state.busy += 1
            state.most = max(state.most, state.busy)
        try:
            self.reply(fault, body)
        finally:
            with state.turn:
                state.busy -= 1

    def reply(self, fault: str, body: dict[str, Any]) -> None:
        time.sleep(self.state.delay)
        if fault.startswith("status"):
            _, status, *headers = fault.split()
            return self.send(int(status), f"no: {self.headers.get('Authorization')}".encode(), headers)
        if fault == "slow":
            time.sleep(3)
        chat = "messages" in body
        said = reversed_words(body["messages"][0]["content"] if chat else body["prompt"])
        choice = {"message": {"content": said}} if chat else {"text": said}
        whole = {"model": self.state.name or body["model"], "choices": [{**choice, "finish_reason": "stop"}]}
        if fault == "shape":
            whole = {"choices": []}
        data = b"<html>not json" if fault == "json" else json.dumps(whole).encode()
        if fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return None
        with self.state.turn:
            self.state.seen.append(body)
        return self.send(200, data)

    def send(self, status: int, data: bytes, headers: list[str] | None = None) -> None:
        self.send_response(status)
        for name, value in zip(*[iter(headers or [])] * 2, strict=True):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no news."""


@contextmanager
def serve() -> Iterator[Server]:
    with Quiet(("127.0.0.1", 0), Handler) as http:
        state = Server(address=f"http://127.0.0.1:{http.server_address[1]}/v1")
        http.RequestHandlerClass = type("Bound", (Handler,), {"state": state})
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            http.shutdown()
            thread.join()

"""One request as a handler sees it, in a worker thread: arguments, bounded body, and what its sender may do."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.from_thread
from starlette.requests import Request

from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.repo import Repo
from yulan.rehearsal.store import Store

BODY = 16 << 20
"""Most bytes of a JSON or form body."""
PATIENCE = 60.0
"""Seconds a client may stay silent in the middle of a body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    request: Request
    store: Store
    args: dict[str, str]
    """Named parts of the address, percent-decoded after it was split."""

    @property
    def scope(self) -> str | None:
        """`write`, `read`, or None without a token.

        Raises: Refused: a token that this hub did not make.
        """
        sent = self.request.headers.get("authorization")
        if sent is None:
            return None
        kind, _, token = sent.partition(" ")
        scope = self.store.scope(token.strip()) if kind.lower() == "bearer" else None
        if scope is None:
            # Clients tell a wrong token from a missing repo by exactly this sentence.
            raise Refused(401, "Invalid credentials in Authorization header")
        return scope

    @property
    def query(self) -> dict[str, str]:
        return dict(self.request.query_params)

    def number(self, name: str, default: int) -> int:
        """A whole number of the query; nonsense counts as absent."""
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else default

    @property
    def base(self) -> str:
        """How the client reaches this hub."""
        return str(self.request.base_url).rstrip("/")

    def blocks(self) -> Iterator[bytes]:
        """The body as it comes.

        Raises: Refused: the client fell silent.
        """
        stream = self.request.stream()

        async def block() -> bytes | None:
            with anyio.fail_after(PATIENCE):
                return await anext(stream, None)

        try:
            while (data := anyio.from_thread.run(block)) is not None:
                if data:
                    yield data
        except TimeoutError:
            raise Refused(408, f"Nothing came for {PATIENCE:.0f} s") from None

    def lines(self, limit: int) -> Iterator[bytearray]:
        """The body's lines, each at most `limit` bytes."""
        rest = bytearray()
        for data in self.blocks():
            rest += data
            if b"\n" in data:
                *whole, rest = rest.split(b"\n")
                yield from whole
            if len(rest) > limit:
                raise Refused(413, f"A line is longer than {limit} bytes")
        yield rest

    def body(self, limit: int = BODY) -> bytes:
        data = bytearray()
        for block in self.blocks():
            data += block
            if len(data) > limit:
                raise Refused(413, f"The body is larger than {limit} bytes")
        return bytes(data)

    def json(self) -> dict[str, Any]:
        try:
            value = json.loads(self.body() or b"{}")
        except (ValueError, RecursionError):
            raise Refused(400, "The body is not JSON") from None
        if not isinstance(value, dict):
            raise Refused(400, "The body is not a JSON object")
        return value

    def need(self, scope: str) -> None:
        """Raises: Refused: 401 without a token, 403 with one that only reads."""
        held = self.scope
        if held is None:
            raise Refused(401, "Invalid username or password.")
        if scope == "write" and held != "write":
            raise Refused(403, "You have read access but not the required permissions for this operation")

    def repo(self, scope: str = "read", *, content: bool = False) -> Repo:
        """The repo of the address. A private one does not exist for strangers; `content` of a gated one is refused to them."""
        held = self.scope
        repo = self.store.repo(self.args["kind"].rstrip("s"), f"{self.args['ns']}/{self.args['name']}")
        if not repo.exists or (held is None and repo.settings["private"]):
            if held is None:
                raise Refused(401, "Invalid username or password.", "RepoNotFound")
            raise missing("repo", "Repository not found")
        if scope == "write":
            self.need("write")
        if content and held is None and repo.settings["gated"]:
            raise Refused(
                401, f"Access to {repo.kind} {repo.id} is restricted. You must be authenticated to access it.", "GatedRepo"
            )
        return repo


def field(value: Any, name: str, kind: type) -> Any:
    """Raises: Refused: the field is not there or of another type."""
    if not isinstance(value, dict) or not isinstance(value.get(name), kind):
        raise Refused(400, f"{name} is missing or not {kind.__name__}")
    return value[name]

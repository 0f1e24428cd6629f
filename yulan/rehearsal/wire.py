"""One request as a handler sees it, in a worker thread: arguments, bounded body, and what its sender may do."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from yulan.rehearsal.body import Body
from yulan.rehearsal.refused import Refused, missing
from yulan.rehearsal.repo import AUTHOR, Repo
from yulan.rehearsal.store import Holder, Store

BODY = 16 << 20
"""Most bytes of a JSON or form body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    request: Request
    store: Store
    incoming: Body
    args: dict[str, str]
    """Named parts of the address, percent-decoded after it was split."""

    @property
    def holder(self) -> Holder | None:
        """None without a token.

        Raises: Refused: a token that this hub did not make.
        """
        sent = self.request.headers.get("authorization")
        if sent is None:
            return None
        kind, _, token = sent.partition(" ")
        holder = self.store.holder(token.strip()) if kind.lower() == "bearer" else None
        if holder is None:
            # Clients tell a wrong token from a missing repo by exactly this sentence.
            raise Refused(401, "Invalid credentials in Authorization header")
        return holder

    @property
    def member(self) -> bool:
        """Does the sender see what is private?"""
        return self.holder is not None and self.holder.user == AUTHOR

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
        """The body as it comes."""
        return self.incoming.blocks()

    def lines(self, limit: int, total: int) -> Iterator[bytearray]:
        """The body's lines, each at most `limit` bytes, together at most `total`."""
        rest = bytearray()
        for data in self.blocks():
            rest += data
            if b"\n" in data:
                *whole, rest = rest.split(b"\n")
                yield from whole
            if len(rest) > limit:
                raise Refused(413, f"A line is longer than {limit} bytes")
            if self.incoming.size > total:
                raise Refused(413, f"The body is larger than {total} bytes")
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

    def _at(self, id: str) -> str:
        """This address for another repo. Percent-escapes behind the name stay as they were sent."""
        path = self.request.scope["raw_path"].decode("ascii").replace("/{ns}/{name}".format(**self.args), f"/{id}", 1)
        query = self.request.scope["query_string"].decode("ascii")
        return f"{path}?{query}" if query else path

    def need(self, scope: str) -> Holder:
        """Who sends this. Raises: Refused: 401 without a token, 403 with one that only reads."""
        held = self.holder
        if held is None:
            raise Refused(401, "Invalid username or password.")
        if scope == "write" and held.scope != "write":
            raise Refused(403, "You have read access but not the required permissions for this operation")
        return held

    def repo(self, scope: str = "read", *, content: bool = False) -> Repo:
        """The repo of the address. A private one does not exist for strangers; `content` of a gated one is refused to them."""
        held, kind = self.holder, self.args["kind"].rstrip("s")
        repo = self.store.repo(kind, f"{self.args['ns']}/{self.args['name']}")
        if not repo.exists and (new := self.store.moved(repo)):
            raise Refused(307, f"The repository is now {new}", headers={"Location": self._at(new)})
        if not repo.exists or (repo.settings["private"] and not self.member):
            if held is None:
                raise Refused(401, "Invalid username or password.", "RepoNotFound")
            raise missing("repo", "Repository not found")
        if scope == "write":
            self.need("write")
        if content and repo.settings["gated"] and not self.member:
            restricted = f"Access to {kind} {repo.id} is restricted"
            if held is None:
                raise Refused(401, f"{restricted}. You must be authenticated to access it.", "GatedRepo")
            if repo.access.get(held.user, {}).get("status") != "accepted":
                ask = f"Visit {self.base}/{repo.id} to ask for access"
                raise Refused(403, f"{restricted} and you are not in the authorized list. {ask}.", "GatedRepo")
        return repo


def field(value: Any, name: str, kind: type) -> Any:
    """Raises: Refused: the field is not there or of another type."""
    if not isinstance(value, dict) or not isinstance(value.get(name), kind):
        raise Refused(400, f"{name} is missing or not {kind.__name__}")
    return value[name]

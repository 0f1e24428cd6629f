"""A hub that is asked within bounds and with patience: no answer is endless, and a 429 is waited for as its header says."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from yulan.errors import HubError
from yulan.release.hub import Hub, Remote
from yulan.release.names import Repo

T = TypeVar("T")
_COMMIT, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
FILES = 100_000
"""Of the largest listing that is read: as many as the public hub lets a repository have."""
PAGES = 400
"""Of one listing: more than its files need, and an end for a hub that sends empty pages."""
ANSWER = 64 << 20
"""Bytes of the largest page of a listing."""
WAITS, LONGEST = 4, 310.0
"""Times that one request is asked again after a 429, and seconds of the longest wait: the public hub counts by five minutes."""


class Asked:
    """One hub; counts what it is asked."""

    def __init__(self, hub: Hub, say: Callable[[str], None] = lambda _: None) -> None:
        self.hub, self._say = hub, say
        self.requests = 0

    def commit_of(self, repo: Repo, revision: str) -> str:
        return self._patiently(lambda: self.hub.commit_of(repo, revision))

    def refs(self, repo: Repo) -> tuple[dict[str, str], dict[str, str]]:
        """(branches, tags), each by name with its commit."""
        told, _ = self._page(repo, "refs")
        try:
            branches, tags = ({str(r["name"]): str(r["targetCommit"]) for r in told[kind]} for kind in ("branches", "tags"))
        except (KeyError, TypeError):
            raise _strange(repo) from None
        if not all(name.isprintable() and _COMMIT.fullmatch(commit) for name, commit in [*branches.items(), *tags.items()]):
            raise _strange(repo)
        return branches, tags

    def tree(self, repo: Repo, commit: str) -> dict[str, Remote]:
        """Every file of a commit.

        Raises: HubError: the hub does not answer, or its listing is none or does not end.
        """
        found: dict[str, Remote] = {}
        path = f"tree/{quote(commit, safe='')}?recursive=true&expand=false"
        for _ in range(PAGES):
            rows, after = self._page(repo, path)
            if not isinstance(rows, list):
                raise _strange(repo)
            try:
                found |= {row["path"]: _remote(row) for row in rows if row["type"] == "file"}
            except (KeyError, TypeError, ValueError, AttributeError):
                raise _strange(repo) from None
            if after is None:
                return found
            path = after
            if len(found) > FILES:
                break
        raise HubError(
            "its listing does not end",
            where=f"{repo}@{commit}",
            cure=f"A repository has at most {FILES:,} files; do not use this one",
        )

    def read(self, repo: Repo, commit: str, name: str, start: int = 0) -> Iterator[bytes]:
        """A file as it comes, from `start` on. Not tried again once its first bytes are here."""

        def begin() -> tuple[bytes, Iterator[bytes]]:
            stream = self.hub.read(repo, commit, name, start)
            return next(stream, b""), stream

        first, stream = self._patiently(begin)
        yield first
        yield from stream

    def whole(self, repo: Repo, commit: str, name: str, most: int) -> bytes:
        """A small file; of a longer one the first bytes, one more than `most`."""

        def read() -> bytes:
            found = bytearray()
            for block in self.hub.read(repo, commit, name):
                found += block
                if len(found) > most:
                    break
            return bytes(found[: most + 1])

        return self._patiently(read)

    def part(self, repo: Repo, commit: str, name: str, start: int, length: int) -> bytes:
        return self._patiently(lambda: self.hub.part(repo, commit, name, start, length))

    def _page(self, repo: Repo, path: str) -> tuple[Any, str | None]:
        """What an address answers as JSON, and where its next page is."""

        def read() -> tuple[Any, str | None]:
            body = bytearray()
            with self.hub.asked(repo, path) as answer:
                for block in answer.iter_bytes():
                    body += block
                    if len(body) > ANSWER:
                        raise _strange(repo)
                link = answer.links.get("next", {}).get("url")
            try:
                return json.loads(body), _next(link, path)
            except (ValueError, RecursionError):
                raise _strange(repo) from None

        return self._patiently(read)

    def _patiently(self, ask: Callable[[], T]) -> T:
        waits = 0
        while True:
            self.requests += 1
            try:
                return ask()
            except HubError as error:
                seconds = pause(error)
                if seconds is None or waits == WAITS:
                    raise
            waits += 1
            self._say(f"the hub asks to slow down; going on in {seconds:.0f} s")
            time.sleep(seconds)


def pause(error: HubError) -> float | None:
    """Seconds that a 429 asks to wait: `t` of its RateLimit header, Retry-After, or the longest; null: it is another refusal."""
    answer: Any = getattr(error.__cause__, "response", None)
    if answer is None or answer.status_code != 429:
        return None
    told = re.search(r"\bt=(\d+)", answer.headers.get("RateLimit", "")) or re.fullmatch(
        r"(\d+)", answer.headers.get("Retry-After", "").strip()
    )
    # One second more: the hub counts in whole ones.
    return min(float(told[1]) + 1, LONGEST) if told else LONGEST


def _remote(row: Any) -> Remote:
    """Raises: ValueError: its digests are none, or its size is negative."""
    large = row.get("lfs")
    sha256 = large["oid"] if large else None
    if not (_COMMIT.fullmatch(row["oid"]) and (sha256 is None or _SHA256.fullmatch(sha256)) and row["size"] >= 0):
        raise ValueError(row["oid"])
    return Remote(size=int(row["size"]), sha256=sha256, blob=row["oid"])


def _next(link: str | None, path: str) -> str | None:
    """The next page, on this hub whatever host the link names: a mirror may hand on the first hub's own."""
    return f"{path.partition('?')[0]}?{urlsplit(link).query}" if link else None


def _strange(repo: Repo) -> HubError:
    return HubError("answers what no hub answers", where=repo, cure="Check that the address is a hub's")

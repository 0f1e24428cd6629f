"""Links to other hosts: one HEAD each, without anybody's token, within a stated time; no body is read."""

import ipaddress
import queue
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPException
from typing import Any
from urllib.parse import urljoin, urlsplit

from yulan.release.audit.finding import Finding

Follow = Callable[[list[str], str], Iterator[Finding]]
LINKS, HOPS, AT_ONCE = 64, 5, 8
"""Addresses of a card that are asked, redirections that each may make, and how many are asked at a time."""
PATIENCE, ALL = 10.0, 120.0
"""Seconds for each answer, and for all of them."""
GONE = {404, 410}
NO_HEAD = {400, 403, 405, 501}
"""What servers say to a HEAD that they would have answered a GET."""
NO_NAME, PRIVATE = "no host of that name", "a private network is not asked"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Redirections are followed here, each after a look at where it leads."""

    def redirect_request(self, *_: Any) -> None:
        return None


def follower(private: bool, patience: float = PATIENCE, whole: float = ALL) -> Follow:
    """`private`: whether addresses of private networks may be asked, since the hub itself is in one. A card that anybody
    wrote must not make its auditor's machine knock on the doors of the auditor's own network."""

    def follow(addresses: list[str], where: str) -> Iterator[Finding]:
        told = ask_all(addresses[:LINKS], lambda address: status(address, private, patience), whole)
        answered = any(isinstance(answer, int) for answer in told.values())
        for address, answer in told.items():
            dead = answer in GONE or (answer == NO_NAME and answered)
            if dead:
                yield Finding(id="dead-link", severity="warning", where=where, what=f"{address} leads nowhere ({answer})")
            elif isinstance(answer, str) or answer >= 400:
                yield Finding(id="link-unchecked", severity="note", where=where, what=f"{address}: {answer}")
        if len(addresses) > LINKS:
            what = f"{LINKS} of {len(addresses)} links were followed"
            yield Finding(id="links-unchecked", severity="note", where=where, what=what)

    return follow


def is_private(host: str) -> bool:
    """Whether any address of a host is not a public one. Raises: OSError: it has none."""
    found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    return any(not ipaddress.ip_address(str(each).partition("%")[0]).is_global for each in found)


def inside(endpoint: str) -> bool:
    """Whether a hub is in a private network, as a rehearsal hub is."""
    try:
        return is_private(urlsplit(endpoint).hostname or "")
    except OSError:
        return False


def status(address: str, private: bool, patience: float) -> int | str:
    """What the last of at most HOPS servers answers, or why none does."""
    opener = urllib.request.build_opener(_Stay)
    method = "HEAD"
    for _ in range(HOPS + 1):
        parts = urlsplit(address if "://" in address else f"https:{address}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return "not an address of the web"
        try:
            if not private and is_private(parts.hostname):
                return PRIVATE
            request = urllib.request.Request(parts.geturl(), method=method, headers={"User-Agent": "yulan-audit"})
            with opener.open(request, timeout=patience) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in NO_HEAD and method == "HEAD":
                    method = "GET"
                elif error.code in {301, 302, 303, 307, 308} and (to := error.headers.get("Location")):
                    address = urljoin(parts.geturl(), to)
                else:
                    return error.code
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            return NO_NAME if isinstance(reason, socket.gaierror) else f"no answer ({type(reason).__name__})"
    return f"more than {HOPS} redirections"


def ask_all(addresses: Iterable[str], ask: Callable[[str], int | str], whole: float) -> dict[str, int | str]:
    """What each says; those that do not within `whole` seconds are given up, and their threads end with the process."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    told: dict[str, int | str] = {}
    for address in (addresses := list(addresses)):
        waiting.put(address)

    def work() -> None:
        while True:
            try:
                address = waiting.get_nowait()
            except queue.Empty:
                return
            told[address] = ask(address)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(AT_ONCE, len(addresses)))]
    end = time.monotonic() + whole
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return {address: told.get(address, "no answer in time") for address in addresses}

"""Where the bytes of one file may come from: a hub, an address on the web, a folder of this machine."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from yulan import __version__
from yulan.release.hub import Hub
from yulan.release.hub_refused import Away, NoRange, Refused, kind_of, timed
from yulan.release.names import Repo

BLOCK = 1 << 16
TIMEOUT = 10.0
"""Seconds that a server may stay silent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    name: str
    """Of the server or folder, as people are told."""
    read: Callable[[int], Iterator[bytes]]
    """The file's bytes from that one on, as they come. Raises HubError: Refused, Away and NoRange among them."""


def on_hub(hub: Hub, repo: Repo, commit: str, name: str) -> Place:
    return Place(name="the hub", read=partial(hub.read, repo, commit, name))


def at(address: str, name: str) -> Place:
    """An `http(s)://` address, a `file://` address or a path; `name` is what is told of it."""
    if address.startswith(("http://", "https://")):
        return Place(name=name, read=partial(_web, address, name))
    return Place(
        name=name, read=partial(_file, Path(unquote(urlsplit(address).path) if address.startswith("file:") else address))
    )


def _file(path: Path, start: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(start)
            while block := file.read(BLOCK):
                yield block
    except OSError as error:
        raise Refused(f"cannot be read ({error.__class__.__name__})", where=path, cure="Correct locations.json") from None


def _web(url: str, name: str, start: int) -> Iterator[bytes]:
    """No token goes with it: an address that is not the hub's need not know who asks."""
    headers = {"User-Agent": f"yulan/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    cure = "Correct locations.json, or run the same command again"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
            if start and answer.status != 206:
                raise NoRange("sends files from their start only", where=name, cure=cure)
            while block := answer.read1(BLOCK):
                yield block
    except urllib.error.HTTPError as error:
        kind = kind_of(error.code)
        raise timed(kind(f"answers {error.code}", where=name, cure=cure), dict(error.headers)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Away(f"does not answer ({reason.__class__.__name__})", where=name, cure=cure) from None

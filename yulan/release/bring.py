"""One file from wherever it is to be had: gone on with where an earlier try stopped, and its name given only to the bytes
that were listed. Places are tried in their order; one that is cut, silent or busy is tried again, one that is wrong is not."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO

from yulan import digest, files
from yulan.direct import Direct
from yulan.errors import HubError
from yulan.release.hub import Away, Refused, Remote
from yulan.release.hub_refused import NoRange
from yulan.release.patience import LONGEST
from yulan.release.place import Place
from yulan.release.progress import Say

FIRST, PATIENCE = 1.0, 300.0
"""Seconds of the first pause, and of all of them while a file does not grow: the window of a hub's limits."""
SLOW, WATCHED = 1 << 14, 20.0
"""A place that sends fewer bytes a second, over so many seconds, is left while there is another."""


class Stopped(Exception):
    """The caller wants no more bytes."""


class Wrong(HubError):
    """A place sent other bytes than listed, from the first to the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Brought:
    wire: int
    """Bytes that came, those of failed tries too."""
    place: str | None
    """Where the last of them came from; null: nothing had to come."""


def bring(
    places: Sequence[Place],
    name: str,
    remote: Remote,
    path: Path,
    say: Say = lambda _: None,
    count: Callable[[int], None] = lambda _: None,
    stop: Event | None = None,
) -> Brought:
    """Put a file at `path`, in place of other bytes there; `count` is told how many bytes come.

    Raises: HubError: no place has it as listed; what may be its beginning is kept for the next try. Stopped: `stop` is set.
    """
    if remote.is_at(path):
        return Brought(wire=0, place=None)
    files.remove(path)
    with files.open_rest(path) as file, ThreadPoolExecutor(2) as threads:
        rest = _Rest(file, threads, name, remote, count, stop or Event())
        try:
            place = None if rest.whole() else _fill(rest, list(places), say)
        finally:
            rest.out.close()
    return Brought(wire=rest.wire, place=place)


class _Rest:
    """A file on its way, written and hashed as far as it goes by two other threads."""

    def __init__(
        self, file: IO[bytes], threads: Executor, name: str, remote: Remote, count: Callable[[int], None], stop: Event
    ) -> None:
        self.file, self.threads, self.name, self.remote, self.count, self.stop = file, threads, name, remote, count, stop
        self.wire = self.most = 0
        self.begin()

    def begin(self) -> None:
        """With what is there."""
        self.sum, self.size = digest.running() if self.remote.sha256 else digest.git_running(self.remote.size), 0
        self.file.seek(0)
        while block := self.file.read(digest.BLOCK):
            self.size += len(block)
            self.sum.update(block)
        self.out = Direct(self.file, self.threads, self.sum.update)

    def drop(self) -> None:
        """Nothing of what is there can be used."""
        self.out.close()
        self.file.truncate(0)
        self.begin()

    def whole(self) -> bool:
        """Whether all bytes are there; wrong ones are dropped."""
        if self.size < self.remote.size:
            return False
        self.out.close()
        if self.sum.hexdigest() == (self.remote.sha256 or self.remote.blob):
            return True
        self.drop()
        return False

    def add(self, block: bytes) -> None:
        self.out.write(block)
        self.size += len(block)
        self.wire += len(block)
        self.most = max(self.most, self.size)
        self.count(len(block))

    def take(self, place: Place, last: bool) -> None:
        """Add what a place has, until the file is whole. `last`: there is no other to turn to, so it may be slow.

        Raises: HubError: it has something else, or stopped on the way.
        """
        begun, since, then = self.size, time.monotonic(), self.wire
        cure = "Run the same command again; it goes on there"
        for block in place.read(self.size):
            if self.stop.is_set():
                raise Stopped
            if self.size + len(block) > self.remote.size:
                self.drop()
                raise Wrong(f"{place.name} sent more bytes than listed", where=self.name, cure="Do not use it for this file")
            self.add(block)
            if (past := time.monotonic() - since) > WATCHED:
                if not last and self.wire - then < SLOW * past:
                    raise HubError(f"{place.name} is too slow", where=self.name, cure=cure)
                since, then = time.monotonic(), self.wire
        if self.size < self.remote.size:
            raise HubError(f"{place.name} ended in the middle of a file", where=self.name, cure=cure)
        if not self.whole():
            if not begun:
                cure = "Run the same command again; if it stays so, do not use it"
                raise Wrong(f"{place.name} sent other bytes than listed", where=self.name, cure=cure)
            # The beginning was of another revision or place: this one has not been wrong yet.
            self.take(place, last)


def _fill(rest: _Rest, places: list[Place], say: Say) -> str:
    """Returns the name of the place that completed the file."""
    pause, waited, rows, several = FIRST, 0.0, [], len(places) > 1
    while True:
        most, asked = rest.most, 0.0
        for place in list(places):
            try:
                _ask(rest, place, last=place is places[-1])
                return place.name
            except HubError as error:
                told = error
            if isinstance(told, Refused | Wrong):
                places.remove(place)
            if isinstance(told, Away):
                asked = max(asked, told.pause or 0)
            rows.append(told.what if told.what.startswith(place.name) else f"{place.name}: {told.what}")
            say(f"{rest.name}: {rows[-1]}")
        if rest.most > most:
            pause, waited = FIRST, 0.0
        wait = max(pause, asked)
        if not places or waited + wait > PATIENCE:
            evidence = dict.fromkeys([*told.evidence, *rows]) if several else told.evidence
            raise type(told)(told.what, where=told.where, cure=told.cure, evidence=evidence)
        if rest.stop.wait(wait):
            raise Stopped
        waited, pause = waited + wait, min(2 * pause, LONGEST)


def _ask(rest: _Rest, place: Place, last: bool) -> None:
    try:
        rest.take(place, last)
    except NoRange:
        if not last:
            raise
        rest.drop()
        rest.take(place, last)

"""One file from wherever it is to be had: gone on with where an earlier try stopped, and its name given only to the bytes
that were listed. Places are tried in their order; one that is cut, silent or busy is tried again, one that is wrong is not."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import IO

from yulan import digest, files
from yulan.errors import HubError
from yulan.release.hub import Remote
from yulan.release.meter import Meter
from yulan.release.place import Place
from yulan.release.refused import Busy, NoRange, Refused

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds before each further round over the places in which a file did not grow; together a minute."""
PATIENCE = 300.0
"""Most seconds that are waited because a server asks for it: the window of a hub's limits."""
SLOW, WATCHED = 1 << 14, 20.0
"""A place that sends fewer bytes a second, over so many seconds, is left while there is another."""
STRETCH = 32 << 20
"""Bytes after which the disk is told to begin writing."""


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
    meter: Meter | None = None,
    stop: Event | None = None,
) -> Brought:
    """Put a file at `path`, in place of other bytes there.

    Raises: HubError: no place has it as listed; what may be its beginning is kept for the next try. Stopped: `stop` is set.
    """
    meter = meter or Meter(name, remote.size, say=lambda _: None)
    if remote.is_at(path):
        meter.found(remote.size)
        return Brought(wire=0, place=None)
    files.remove(path)
    with files.open_rest(path) as out:
        rest = _Rest(out, name, remote, meter, stop or Event())
        place = None if rest.whole() else _fill(rest, list(places))
    return Brought(wire=rest.wire, place=place)


class _Rest:
    """A file on its way, hashed as far as it goes."""

    def __init__(self, out: IO[bytes], name: str, remote: Remote, meter: Meter, stop: Event) -> None:
        self.out, self.name, self.remote, self.meter, self.stop = out, name, remote, meter, stop
        self.wire = self.most = self.size = 0
        self.begin()
        out.seek(0)
        while block := out.read(digest.BLOCK):
            self.size += len(block)
            self.sum.update(block)
        meter.found(self.size)

    def begin(self) -> None:
        self.sum = digest.running() if self.remote.sha256 else digest.git_running(self.remote.size)

    def drop(self) -> None:
        """Nothing of what is there can be used."""
        self.meter.found(-self.size)
        self.out.truncate(0)
        self.size = 0
        self.begin()

    def whole(self) -> bool:
        """Whether all bytes are there; wrong ones are dropped."""
        if self.size < self.remote.size:
            return False
        if self.sum.hexdigest() == (self.remote.sha256 or self.remote.blob):
            return True
        self.drop()
        return False

    def add(self, block: bytes) -> None:
        self.out.write(block)
        self.sum.update(block)
        if self.size // STRETCH != (self.size + len(block)) // STRETCH:
            files.write_behind(self.out, self.size // STRETCH * STRETCH, STRETCH)
        self.size += len(block)
        self.wire += len(block)
        self.most = max(self.most, self.size)
        self.meter.add(len(block))

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


def _fill(rest: _Rest, places: list[Place]) -> str:
    """Returns the name of the place that completed the file."""
    waits, rows, several = iter(WAITS), [], len(places) > 1
    while True:
        most, asked = rest.most, 0.0
        for place in list(places):
            last = place is places[-1]
            try:
                try:
                    rest.take(place, last)
                except NoRange:
                    if not last:
                        raise
                    rest.drop()
                    rest.take(place, last)
                return place.name
            except HubError as error:
                told = error
            if isinstance(told, Refused | Wrong):
                places.remove(place)
            if isinstance(told, Busy):
                asked = max(asked, told.after or 0)
            row = told.what if told.what.startswith(place.name) else f"{place.name}: {told.what}"
            rows.append(row)
            rest.meter.say(f"{rest.name}: {row}")
        waits = iter(WAITS) if rest.most > most else waits
        pause = next(waits, None)
        if not places or pause is None or asked > PATIENCE:
            evidence = dict.fromkeys([*told.evidence, *rows]) if several else told.evidence
            raise type(told)(told.what, where=told.where, cure=told.cure, evidence=evidence)
        if rest.stop.wait(max(pause, asked)):
            raise Stopped

"""Fetch one revision of a release. A folder is absent, `.partial`, or verified; a rerun goes on where it stopped."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from yulan import files
from yulan.errors import IntegrityError, StateError
from yulan.layout import MANIFEST
from yulan.release.bring import Brought, Stopped, bring
from yulan.release.folder import Checked, Stamp, check, stamp
from yulan.release.hub import Away, Hub, Refused, Remote
from yulan.release.locations import NOWHERE, Locations
from yulan.release.mirrored import agree_elsewhere
from yulan.release.names import Address
from yulan.release.offer import LARGEST_LIST as LARGEST_LIST
from yulan.release.offer import PART_OF, Listed, Offer, Only, agree
from yulan.release.offer import offer as offer
from yulan.release.offer import redirect as redirect
from yulan.release.patience import persist
from yulan.release.place import Place, on_hub
from yulan.release.progress import Progress, Say
from yulan.release.sign import Signed
from yulan.release.trust import Trust

FIRST_CONTACT = 60.0
"""Seconds that a hub may be away before it has told what the revision holds."""
WORKERS = 8
"""Files that come at once; each is one stream, since it is hashed in its order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    checked: Checked
    fetched: int
    """Bytes that came over the wire."""
    signed: Signed | None
    """Null: no key was given, so the signature was not looked at."""
    served: Mapping[str, int]
    """By the name of a place, the files that it completed."""


def pull(
    hub: Hub,
    address: Address,
    into: Path,
    only: Only | None,
    say: Say,
    trust: Trust | None = None,
    force: bool = False,
    locations: Locations = NOWHERE,
) -> Pulled:
    """Download, check each byte against the revision's lists on its way, then give the folder its name.

    With `trust`, the lists are held against the revision's signature before anything else is fetched. A withdrawn
    revision is fetched with `force` only. Files are asked of `locations` first, of the hub last.

    Raises: IntegrityError: the signature does not hold; HubError: no place has the bytes as listed; StateError: it was
    withdrawn, something else stands at `into`, or another pull works there; ResourceError: it does not fit on the disk.
    """
    into = into.absolute()
    address, found, signed = _agree(hub, address, only, trust, force, locations, say)
    if into.exists() or into.is_symlink():
        return Pulled(checked=_already(into, found, say), fetched=0, signed=signed, served={})
    with _alone(into):
        if into.exists():  # another pull has just made it
            return Pulled(checked=_already(into, found, say), fetched=0, signed=signed, served={})
        partial = into.with_name(into.name + files.PARTIAL)
        _sweep(partial, found)
        there = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
        files.require_space(into.parent, found.size - there)
        with files.new_folder(into, resume=True) as folder:
            progress = Progress(str(address), found.size - there, say)
            brought = _bring_all(_places(hub, found, locations), found, folder, say, progress)
            for name, raw in found.raw.items():
                files.write_bytes(folder / name, raw)
            say(f"{address}: {found.size:,} bytes are as listed")
            checked = check(folder, {name: seen for name, (_, seen) in brought.items()})
            if checked.differences:
                cure = "Pull it again"
                raise IntegrityError("changed while it was fetched", where=folder, cure=cure, evidence=checked.differences)
    each = [made for made, _ in brought.values()]
    served = Counter(made.place for made in each if made.place)
    return Pulled(checked=checked, fetched=sum(made.wire for made in each), signed=signed, served=served)


def _agree(
    hub: Hub, address: Address, only: Only | None, trust: Trust | None, force: bool, locations: Locations, say: Say
) -> tuple[Address, Listed, Signed | None]:
    """What the hub says, or, where it is away or has lost the revision, what was signed and another address has."""
    part = PART_OF.get(only or "", address.part)
    elsewhere = trust is not None and locations.folders and part == address.part
    try:
        return persist(lambda: agree(hub, address, only, trust, force), say, 0.0 if elsewhere else FIRST_CONTACT)
    except (Away, Refused) as error:
        if not elsewhere or trust is None:
            raise
        listed, signed, folder = agree_elsewhere(locations, address, only == "card", trust, force)
        say(f"{address}: {error.what}; {folder} has its lists as they were signed; a withdrawal after that would not show")
        return address, listed, signed


def _places(hub: Hub, found: Listed, locations: Locations) -> Callable[[str], list[Place]]:
    """Where a file is asked for, by its name, in this order."""

    def places(name: str) -> list[Place]:
        own = [on_hub(hub, found.repo, found.commit, name)] if isinstance(found, Offer) else []
        return [*locations.places(name, found.files[name].sha256), *own]

    return places


def _bring_all(
    places: Callable[[str], list[Place]], found: Listed, folder: Path, say: Say, progress: Progress
) -> dict[str, tuple[Brought, Stamp]]:
    """All files, the largest first; the first that fails stops the others, which keep what they have."""
    stop = Event()

    def one(name: str) -> tuple[Brought, Stamp]:
        file = found.files[name]
        remote = Remote(size=file.size, sha256=file.sha256, blob="")
        made = bring(places(name), name, remote, folder / name, say, progress.add, stop)
        return made, stamp(folder / name)

    with ThreadPoolExecutor(WORKERS) as pool:
        names = sorted(found.files, key=lambda name: (-found.files[name].size, name))
        work = {name: pool.submit(one, name) for name in names}
        try:
            wait(work.values(), return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    failed = [error for each in work.values() if not each.cancelled() and (error := each.exception()) is not None]
    for error in sorted(failed, key=lambda error: isinstance(error, Stopped)):
        raise error
    return {name: each.result() for name, each in work.items()}


@contextmanager
def _alone(into: Path) -> Iterator[None]:
    """Hold off other pulls into the same folder. The lock lies beside it, and nothing of it stays.

    Raises: StateError: another one is at work.
    """
    path = into.with_name(f".{into.name}.lock")
    while True:
        handle = files.lock(path)
        # Whoever held it before may have removed the name between our opening and locking it.
        with suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == path.stat().st_ino:
                break
        os.close(handle)
    try:
        yield
    finally:
        files.remove(path)
        os.close(handle)


def _sweep(partial: Path, found: Listed) -> None:
    """Drop what another revision left under the same name."""
    keep = {partial / name for name in found.files} | {partial / (name + files.PARTIAL) for name in found.files}
    for path in list(partial.rglob("*")):
        if path.is_symlink() or (path.is_file() and path not in keep):
            files.remove(path)


def _already(into: Path, found: Listed, say: Say) -> Checked:
    """Raises: StateError: what stands at `into` is not this revision, whole."""

    def same(names: Iterable[str]) -> bool:
        return all((into / name).is_file() and (into / name).read_bytes() == found.raw[name] for name in names)

    # A card may be edited after it was pulled; the content is the same revision still.
    if into.is_dir() and (same(found.raw) or (MANIFEST in found.raw and same([MANIFEST]))):
        checked = check(into)
        if not checked.differences:
            if not same(found.raw):
                say(f"{into}: is there, with the card that it was pulled with; a later one is pulled by --only card")
            return checked
    raise StateError("something else stands there", where=into, cure="Choose another folder with --into, or move it away")

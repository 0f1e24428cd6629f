"""Fetch one revision of a release. A folder is absent, `.partial`, or verified; a rerun goes on where it stopped."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from yulan import digest, files, manifest
from yulan.errors import HubError, IntegrityError, StateError
from yulan.layout import MANIFEST
from yulan.manifest import File, Manifest
from yulan.release.bring import bring
from yulan.release.folder import ALIEN, CARD, CARD_SIGNATURE, RECORDS, SIGNATURE, WITHDRAWN, Checked, check, expected
from yulan.release.hub import Hub, Remote
from yulan.release.names import MAIN, Address, Part, Repo, step_of
from yulan.release.progress import Say
from yulan.release.sign import Signed, require_signed
from yulan.release.trust import Trust
from yulan.release.withdrawal import Withdrawal, read_withdrawal, require_standing
from yulan.schema import load_json

Only = Literal["weights", "optimizer", "data", "card"]
PART_OF: dict[str, Part] = {"weights": "model", "optimizer": "states", "data": "data"}
LARGEST_LIST = 64 << 20
"""Bytes of the largest list that is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulled:
    checked: Checked
    fetched: int
    """Bytes that came over the wire."""
    signed: Signed | None
    """Null: no key was given, so the signature was not looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A revision on a hub as its own lists tell it."""

    repo: Repo
    commit: str
    raw: Mapping[str, bytes]
    """The lists as they are, byte for byte."""
    lists: Mapping[str, Manifest]
    files: Mapping[str, File]
    tree: Mapping[str, Remote]

    @property
    def size(self) -> int:
        """Bytes, the lists aside."""
        return sum(file.size for file in self.files.values())


def pull(
    hub: Hub, address: Address, into: Path, only: Only | None, say: Say, trust: Trust | None = None, force: bool = False
) -> Pulled:
    """Download, check each byte against the revision's lists on its way, then give the folder its name.

    With `trust`, the lists are held against the revision's signature before anything else is fetched. A withdrawn
    revision is fetched with `force` only.

    Raises: IntegrityError: the signature does not hold; HubError: the hub refuses, or has other bytes than listed;
    StateError: it was withdrawn, or something else stands at `into`; ResourceError: it does not fit on the disk.
    """
    address, pin = redirect(hub, address, only)
    found = offer(hub, address, card=only == "card")
    if pin is not None and found.lists[MANIFEST].digest != pin:
        raise HubError("is not the revision that the model pins", where=address, cure="Do not use it; ask its publisher")
    signed = _signed(found, address, trust) if trust is not None else None
    if WITHDRAWN in found.files and not force:
        require_standing(_withdrawal(hub, found, address), address)
    if into.exists() or into.is_symlink():
        return Pulled(checked=_already(into, found), fetched=0, signed=signed)
    partial = into.with_name(into.name + files.PARTIAL)
    _sweep(partial, found)
    files.require_space(into.absolute().parent, found.size - sum(p.stat().st_size for p in partial.rglob("*") if p.is_file()))
    fetched = done = 0
    with files.new_folder(into, resume=True) as folder:
        for name, file in sorted(found.files.items()):
            fetched += _fetch(hub, found, name, file, folder / name)
            done += file.size
            say(f"{address}: {done:,} of {found.size:,} bytes")
        for name, raw in found.raw.items():
            files.write_bytes(folder / name, raw)
        checked = check(folder)
        if checked.differences:
            raise IntegrityError("changed while it was fetched", where=folder, cure="Pull it again", evidence=checked.differences)
    return Pulled(checked=checked, fetched=fetched, signed=signed)


def _withdrawal(hub: Hub, found: Offer, address: Address) -> Withdrawal:
    raw = _small(hub, found.repo, found.commit, WITHDRAWN, found.files[WITHDRAWN].size)
    if digest.of_bytes(raw) != found.files[WITHDRAWN].sha256:
        raise HubError(f"{WITHDRAWN} has other bytes than listed", where=address, cure="Do not use it; ask its publisher")
    with tempfile.TemporaryDirectory() as folder:
        return read_withdrawal(load_json(files.write_bytes(Path(folder) / WITHDRAWN, raw)), address)


def _signed(found: Offer, address: Address, trust: Trust) -> Signed:
    """Raises: IntegrityError: nobody trusted signed these very files, or they were signed under another repository's name."""
    sums = {name: file.sha256 for name, file in found.files.items()}
    sums |= {name: digest.of_bytes(found.raw[name]) for name in found.lists}
    signed = require_signed(found.raw, sums, trust, address)
    name, _, revision = signed.subject.partition("@")
    # A tag and a commit may be of any branch; a branch is what it is called.
    branch = address.revision == MAIN or step_of(address.revision) is not None
    if name != found.repo.id or (branch and revision != address.revision):
        raise IntegrityError(f"was signed as {signed.subject}", where=address, cure="Do not use it; ask its publisher")
    return signed


def redirect(hub: Hub, address: Address, only: Only | None) -> tuple[Address, str | None]:
    """The repository that holds the part asked for, and the digest by which the model pins it, if we came from there."""
    part = PART_OF.get(only or "")
    if part is None or part == address.part:
        return address, None
    if address.part != "model":
        return replace(address, part=part, revision=MAIN if part == "data" else address.revision), None
    pins = offer(hub, address, card=False).lists[MANIFEST].inputs
    for name, pin in pins.items():
        if name.startswith(f"{part}/"):
            return replace(address, part=part, revision=name.removeprefix(f"{part}/")), pin
    raise HubError(f"this release pins no {part}", where=address, cure=f"Pull hf://{address.name}-{part} by its own name")


def offer(hub: Hub, address: Address, *, card: bool) -> Offer:
    """Read a revision's lists. It is asked by name once and read by commit, so that it cannot move meanwhile.

    Raises: HubError: no lists, or the hub's tree is not what they say; IntegrityError: a list is unsafe.
    """
    repo = address.repo
    commit = hub.commit_of(repo, address.revision)
    tree = hub.tree(repo, commit)
    wanted = [CARD] if card else [MANIFEST, CARD, f"{RECORDS}/{MANIFEST}"]
    signatures = [CARD_SIGNATURE] if card else [SIGNATURE, CARD_SIGNATURE]
    raw = {name: _small(hub, repo, commit, name, tree[name].size) for name in (*wanted, *signatures) if name in tree}
    if wanted[0] not in raw:
        raise HubError(
            f"no {wanted[0]}", where=address, cure="It was not published by this project; download it with: hf download"
        )
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: files.write_bytes(Path(folder) / name, raw[name]) for name in wanted if name in raw}
        lists = {name: manifest.read(path) for name, path in paths.items()}
    told = expected(lists, Path(str(address)))
    rows = [f"missing  {name}" for name in told.keys() - tree.keys()]
    rows += [f"changed  {name}" for name in told.keys() & tree.keys() if tree[name].differs(told[name])]
    rows += [] if card else [f"extra    {name}" for name in tree.keys() - told.keys() - raw.keys() - {ALIEN}]
    if rows:
        raise HubError(
            "the hub's tree is not what the manifest lists",
            where=address,
            cure="Do not use it; ask its publisher",
            evidence=sorted(rows),
        )
    return Offer(repo=repo, commit=commit, raw=raw, lists=lists, files=told, tree=tree)


def _small(hub: Hub, repo: Repo, commit: str, name: str, size: int) -> bytes:
    if size > LARGEST_LIST:
        raise HubError(f"a list of {size:,} bytes", where=f"{repo}@{commit}/{name}", cure="Do not use it; ask its publisher")
    data = bytearray()
    for block in hub.read(repo, commit, name):
        data += block
        if len(data) > size:
            break
    return bytes(data)


def _fetch(hub: Hub, found: Offer, name: str, file: File, path: Path) -> int:
    """Bring one file; returns the bytes that came over the wire.

    Raises: HubError: other bytes than listed; they are thrown away.
    """
    if path.is_file() and path.stat().st_size == file.size and digest.of_file(path) == file.sha256:
        return 0
    return bring(hub, found.repo, found.commit, name, Remote(size=file.size, sha256=file.sha256, blob=""), path)


def _sweep(partial: Path, found: Offer) -> None:
    """Drop what another revision left under the same name."""
    keep = {partial / name for name in found.files} | {partial / (name + files.PARTIAL) for name in found.files}
    for path in list(partial.rglob("*")):
        if path.is_symlink() or (path.is_file() and path not in keep):
            files.remove(path)


def _already(into: Path, found: Offer) -> Checked:
    """Raises: StateError: what stands at `into` is not this revision, whole."""
    same = into.is_dir() and all((into / name).is_file() and (into / name).read_bytes() == raw for name, raw in found.raw.items())
    checked = check(into) if same else None
    if checked is None or checked.differences:
        raise StateError("something else stands there", where=into, cure="Choose another folder with --into, or move it away")
    return checked

"""What a revision on a hub says that it holds, read and agreed on before any of its files is fetched."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from yulan import digest, files, manifest
from yulan.errors import HubError, IntegrityError
from yulan.layout import MANIFEST
from yulan.manifest import File, Manifest
from yulan.release.folder import ALIEN, CARD, CARD_SIGNATURE, RECORDS, SIGNATURE, WITHDRAWN, expected
from yulan.release.hub import Hub, Refused, Remote
from yulan.release.names import MAIN, Address, Part, Repo, step_of
from yulan.release.sign import Signed, require_signed
from yulan.release.trust import Trust
from yulan.release.withdrawal import Withdrawal, read_withdrawal, require_standing
from yulan.schema import load_json

Only = Literal["weights", "optimizer", "data", "card"]
PART_OF: dict[str, Part] = {"weights": "model", "optimizer": "states", "data": "data"}
LARGEST_LIST = 64 << 20
"""Bytes of the largest list that is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A revision as its own lists tell it."""

    raw: Mapping[str, bytes]
    """The lists and signatures as they are, byte for byte."""
    lists: Mapping[str, Manifest]
    files: Mapping[str, File]

    @property
    def size(self) -> int:
        """Bytes, the lists aside."""
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer(Listed):
    """One that a hub has."""

    repo: Repo
    commit: str
    tree: Mapping[str, Remote]


def agree(
    hub: Hub, address: Address, only: Only | None, trust: Trust | None, force: bool
) -> tuple[Address, Offer, Signed | None]:
    """Find the repository that holds the part asked for, and make sure that it may be used.

    Raises: IntegrityError: the signature does not hold; HubError: the hub refuses, or the model pins another; StateError:
    what was asked for, or what it leads to, was withdrawn and `force` is not set.
    """
    asked = address
    address, pin = redirect(hub, asked, only, force)
    found = offer(hub, address, card=only == "card")
    if pin is not None and found.lists[MANIFEST].digest != pin:
        raise HubError("is not the revision that the model pins", where=address, cure="Do not use it; ask its publisher")
    signed = require_signed_as(found, address, trust) if trust is not None else None
    if not force:
        require_in_use(hub, found, address)
    return address, found, signed


def require_in_use(hub: Hub, found: Offer, address: Address) -> None:
    """A tag and a commit stay as they were made, an alias may have been left out: so the branch whose content it is has a say.

    Raises: StateError: it was withdrawn.
    """
    if WITHDRAWN in found.files:
        require_standing(withdrawal_in(found, _blocks(hub, found, WITHDRAWN), address), address)
    own = next(iter(found.lists.values())).name.rpartition("/")[2]
    fixed = not is_branch(address.revision)
    for branch in dict.fromkeys([own, MAIN] if fixed else [own]):
        if branch == address.revision or not is_branch(branch):
            continue
        there = replace(address, revision=branch)
        try:
            told = offer(hub, there, card=True)
        except Refused:
            continue
        if WITHDRAWN in told.files and told.tree.get(MANIFEST) == found.tree.get(MANIFEST):
            require_standing(withdrawal_in(told, _blocks(hub, told, WITHDRAWN), there), address)


def is_branch(revision: str) -> bool:
    """By its name: all others are tags and commits."""
    return revision == MAIN or step_of(revision) is not None


def withdrawal_in(found: Listed, blocks: Iterator[bytes], address: Address) -> Withdrawal:
    """What withdrawn.json says, of which `blocks` are the bytes.

    Raises: HubError: other bytes than listed; DataError: it breaks its schema.
    """
    raw = read_list(blocks, found.files[WITHDRAWN].size, address)
    if digest.of_bytes(raw) != found.files[WITHDRAWN].sha256:
        raise HubError(f"{WITHDRAWN} has other bytes than listed", where=address, cure="Do not use it; ask its publisher")
    with tempfile.TemporaryDirectory() as folder:
        return read_withdrawal(load_json(files.write_bytes(Path(folder) / WITHDRAWN, raw)), address)


def require_signed_as(found: Listed, address: Address, trust: Trust) -> Signed:
    """Raises: IntegrityError: nobody trusted signed these very files, or they were signed under another repository's name."""
    sums = {name: file.sha256 for name, file in found.files.items()}
    sums |= {name: digest.of_bytes(found.raw[name]) for name in found.lists}
    signed = require_signed(found.raw, sums, trust, address)
    name, _, revision = signed.subject.partition("@")
    # A tag and a commit may be of any branch; a branch is what it is called.
    if name != address.repo.id or (is_branch(address.revision) and revision != address.revision):
        raise IntegrityError(f"was signed as {signed.subject}", where=address, cure="Do not use it; ask its publisher")
    return signed


def redirect(hub: Hub, address: Address, only: Only | None, force: bool = True) -> tuple[Address, str | None]:
    """The repository that holds the part asked for, and the digest by which the model pins it, if we came from there."""
    part = PART_OF.get(only or "")
    if part is None or part == address.part:
        return address, None
    if address.part != "model":
        return replace(address, part=part, revision=MAIN if part == "data" else address.revision), None
    model = offer(hub, address, card=False)
    if not force:
        require_in_use(hub, model, address)
    pins = model.lists[MANIFEST].inputs
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
    raw = {
        name: read_list(hub.read(repo, commit, name), tree[name].size, f"{repo}@{commit}/{name}")
        for name in list_names(card)
        if name in tree
    }
    lists, told = parse_lists(raw, card, address)
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


def list_names(card: bool) -> tuple[str, ...]:
    """Lists and signatures that are read before anything else."""
    return (CARD, CARD_SIGNATURE) if card else (MANIFEST, CARD, f"{RECORDS}/{MANIFEST}", SIGNATURE, CARD_SIGNATURE)


def parse_lists(raw: Mapping[str, bytes], card: bool, address: Address) -> tuple[dict[str, Manifest], dict[str, File]]:
    """The lists, and every file that they have.

    Raises: HubError: the first of them is missing; IntegrityError, DataError: one cannot be used.
    """
    first, *_ = names = [name for name in list_names(card) if name not in {SIGNATURE, CARD_SIGNATURE}]
    if first not in raw:
        cure = "It was not published by this project; download it with: hf download"
        raise HubError(f"no {first}", where=address, cure=cure)
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: files.write_bytes(Path(folder) / name, raw[name]) for name in names if name in raw}
        lists = {name: manifest.read(path) for name, path in paths.items()}
    return lists, expected(lists, Path(str(address)))


def read_list(blocks: Iterator[bytes], size: int, where: object) -> bytes:
    """Raises: HubError: too large to be one."""
    if size > LARGEST_LIST:
        raise HubError(f"a list of {size:,} bytes", where=where, cure="Do not use it; ask its publisher")
    data = bytearray()
    for block in blocks:
        data += block
        if len(data) > size:
            break
    return bytes(data)


def _blocks(hub: Hub, found: Offer, name: str) -> Iterator[bytes]:
    return hub.read(found.repo, found.commit, name)

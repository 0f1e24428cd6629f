"""A whole release on a hub: every revision that its provenance names, and where each file's bytes are to be had."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import digest
from yulan.errors import HubError, IntegrityError
from yulan.layout import MANIFEST
from yulan.manifest import File
from yulan.release.bring import bring
from yulan.release.folder import RECORDS, WITHDRAWN
from yulan.release.hub import Hub, Remote
from yulan.release.lineage.statement import STATEMENT
from yulan.release.names import MAIN, PARTS, Address, Part, Repo, repo, step_of
from yulan.release.place import on_hub
from yulan.release.progress import Say
from yulan.release.pull import Offer, offer
from yulan.release.sign import require_signed
from yulan.release.trust import Trust
from yulan.release.withdrawal import read_withdrawal, require_standing
from yulan.schema import load_json

NAME = re.compile(r"[a-z0-9-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """Where a file lies on the hub."""

    repo: Repo
    commit: str
    name: str
    file: File


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    hub: Hub
    name: str
    """OWNER/NAME of the model."""
    recipe: str
    commit: str
    """Of git."""
    offers: Mapping[str, Offer]
    """By `part/revision`."""
    spots: Mapping[str, Spot]
    """By sha256; of equal files one."""
    signed: str | None
    """Fingerprint of the key; null: nobody asked."""
    work: Path
    """Where files are brought to, by sha256."""

    @property
    def records(self) -> Mapping[str, File]:
        """Files on `main` of the states, which tells how the release came about."""
        return self.offers[f"states/{MAIN}"].files

    def bring(self, sha256: str) -> tuple[Path, int]:
        """A file with these bytes, and how many came over the wire.

        Raises: HubError: the hub fails, or has other bytes than listed.
        """
        return _bring(self.hub, self.spots[sha256], self.work)

    def read(self, name: str) -> Path:
        """A file of `main` of the states.

        Raises: HubError: it is not there.
        """
        if name not in self.records:
            raise HubError(
                f"the release has no {name}",
                where=repo(self.name, "states"),
                cure="It cannot be restored; ask its publisher to publish it again",
            )
        return self.bring(self.records[name].sha256)[0]


def _bring(hub: Hub, spot: Spot, work: Path) -> tuple[Path, int]:
    file, path = spot.file, work / spot.file.sha256
    if path.is_file() and path.stat().st_size == file.size and digest.of_file(path) == file.sha256:
        return path, 0
    remote = Remote(size=file.size, sha256=file.sha256, blob="")
    return path, bring([on_hub(hub, spot.repo, spot.commit, spot.name)], spot.name, remote, path).wire


def find(hub: Hub, address: Address, work: Path, say: Say, trust: Trust | None = None, force: bool = False) -> Published:
    """Read the lists of all revisions of the release that `address` belongs to; with `trust` each must be signed.

    Raises: HubError: `address` is of an older release, or a revision is not the one that the provenance names;
    IntegrityError: a signature does not hold; StateError: a revision was withdrawn.
    """
    home = Address(name=address.name, part="states", revision=MAIN)
    main = offer(hub, home, card=False)
    spots = _spots(main)
    if f"{RECORDS}/{STATEMENT}" not in main.files:
        raise HubError("the release has no records", where=home, cure="Only what `yulan publish` published can be restored")
    told = load_json(_bring(hub, spots[main.files[f"{RECORDS}/{STATEMENT}"].sha256], work)[0])
    subjects, recipe, commit = _read(told, home)
    offers, signers = {f"states/{MAIN}": main}, set[str]()
    branches = {part: hub.refs(repo(address.name, part))[0] for part in PARTS}
    # Of a bundle's checkpoints some may have been left in the clone; `main` of each repository is always there.
    keys = [row for row in _keys(subjects, home) if row[2] in branches[row[1]] or row[2] == MAIN]
    for count, (key, part, revision) in enumerate(keys, 1):
        there = Address(name=address.name, part=part, revision=revision)
        made = main if there == home else offer(hub, there, card=False)
        if made.lists[MANIFEST].digest != subjects[key]:
            cure = "Run it again later: a publication may be under way; if it stays so, ask its publisher"
            raise HubError("is not the revision that the provenance names", where=there, cure=cure)
        if trust is not None:
            signers.add(_signer(made, there, revision, trust))
        if WITHDRAWN in made.files and not force:
            path, _ = _bring(hub, _spots(made)[made.files[WITHDRAWN].sha256], work)
            require_standing(read_withdrawal(load_json(path), there), there)
        offers[key] = made
        say(f"{there}: {len(made.files)} files listed ({count} of {len(keys)} revisions)")
    _require_newest(hub, address, offers)
    for made in offers.values():
        spots |= _spots(made)
    return Published(
        hub=hub, name=address.name, recipe=recipe, commit=commit, offers=offers, spots=spots,
        signed=min(signers, default=None), work=work,
    )  # fmt: skip


def _spots(made: Offer) -> dict[str, Spot]:
    lists = [File(path=name, size=len(raw), sha256=digest.of_bytes(raw)) for name, raw in made.raw.items()]
    named = [*((file.path, file) for file in lists), *made.files.items()]
    return {file.sha256: Spot(repo=made.repo, commit=made.commit, name=name, file=file) for name, file in named}


def _read(told: Any, where: Address) -> tuple[dict[str, str], str, str]:
    """Digest of each revision, the recipe, and the git commit, as the provenance tells them."""
    try:
        subjects = {row["name"]: row["digest"]["sha256"] for row in told["subject"]}
        definition = told["predicate"]["buildDefinition"]
        recipe = definition["externalParameters"]["recipe"]
        found = [row["digest"]["gitCommit"] for row in definition["resolvedDependencies"] if "gitCommit" in row["digest"]]
        # Without it `main`, where the provenance stands, would be held to no digest and no signature.
        if not (NAME.fullmatch(recipe) and len(found) == 1 and COMMIT.fullmatch(found[0]) and f"states/{MAIN}" in subjects):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        what = f"{STATEMENT} is no provenance of a release"
        raise IntegrityError(what, where=where, cure="Do not use it; ask its publisher") from None
    return subjects, recipe, found[0]


def _keys(subjects: Mapping[str, str], where: Address) -> list[tuple[str, Part, str]]:
    found = []
    for key in subjects:
        part, _, revision = key.partition("/")
        if part not in PARTS or not (revision == MAIN or step_of(revision) is not None):
            raise IntegrityError(f"{STATEMENT} names the revision {key!r}", where=where, cure="Do not use it; ask its publisher")
        found.append((key, part, revision))
    return found


def _signer(made: Offer, where: Address, revision: str, trust: Trust) -> str:
    sums = {name: file.sha256 for name, file in made.files.items()}
    sums |= {name: digest.of_bytes(made.raw[name]) for name in made.lists}
    signed = require_signed(made.raw, sums, trust, where)
    if signed.subject != f"{made.repo.id}@{revision}":
        raise IntegrityError(f"was signed as {signed.subject}", where=where, cure="Do not use it; ask its publisher")
    return signed.fingerprint


def _require_newest(hub: Hub, address: Address, offers: Mapping[str, Offer]) -> None:
    """By content: a card that was edited since has moved the branch, not the tag."""
    asked = offer(hub, address, card=False).lists[MANIFEST].digest
    if not any(made.lists[MANIFEST].digest == asked and made.repo == address.repo for made in offers.values()):
        raise HubError(
            "is not part of the release that the states' main tells of",
            where=address,
            cure="Name a branch or tag of the newest release; older ones keep their weights, not their records",
        )

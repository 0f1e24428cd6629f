"""Which checkpoints of a bundle go out. Each is 31 GB at full size, and few are asked for; the others stay in the clone."""

import csv
import io
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from yulan import digest, files
from yulan.errors import StateError
from yulan.manifest import File
from yulan.release.folder import CARD
from yulan.release.names import MAIN
from yulan.release.release import Half, Release, Revision
from yulan.release.seal import list_card

TABLE = "checkpoints.csv"
Rows = list[dict[str, str]]


def choose(bundle: Path, release: Release, *, every: bool, named: Collection[str], there: Collection[str]) -> Release:
    """The release with those checkpoints only that are published: finals and other tagged ones, the named ones, and
    what is `there` already, so that no list forgets what it once told of. `every`: all of them.

    Raises: StateError: no checkpoint has a given name.
    """
    if unknown := sorted(set(named) - release.model.revisions.keys()):
        known = sorted(release.model.revisions.keys() - {MAIN})
        raise StateError(f"no checkpoint is called {unknown[0]}", where=release.name, cure="Name one of these", evidence=known)
    if every:
        return release
    rows = _rows(bundle)
    tagged = {*release.model.tags.values(), *release.states.tags.values()}
    wanted = {MAIN, *tagged, *named, *there} | {row["alias_of"] for row in rows if row["revision"] in tagged}
    begins = {row.get("begin", "") for row in rows if row["revision"] in wanted}
    return replace(release, model=_only(release.model, wanted), states=_only(release.states, wanted | begins))


def _only(half: Half, wanted: Collection[str]) -> Half:
    return replace(half, revisions={name: digest for name, digest in half.revisions.items() if name in wanted})


def _rows(bundle: Path) -> Rows:
    path = bundle / "model" / MAIN / TABLE
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))) if path.is_file() else []


def tell(revision: Revision, release: Release, folder: Path) -> Revision:
    """`main` with a checkpoints.csv of what is published alone, written below `folder` with its list; others as they are.

    A list of cards is no part of the content: the digest stays.
    """
    if revision.name != MAIN or TABLE not in revision.files:
        return revision
    text = revision.paths[TABLE].read_text(encoding="utf-8")
    read = csv.DictReader(io.StringIO(text))
    rows = [row for row in read if row["revision"] in release.model.revisions]
    out = io.StringIO()
    table = csv.DictWriter(out, read.fieldnames or [], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    if out.getvalue() == text:
        return revision
    made = {TABLE: files.write_text(folder / TABLE, out.getvalue())}
    known = {TABLE: File(path=TABLE, size=made[TABLE].stat().st_size, sha256=digest.of_file(made[TABLE]))}
    made[CARD] = list_card(revision.paths[CARD], known, folder / CARD)
    known[CARD] = File(path=CARD, size=made[CARD].stat().st_size, sha256=digest.of_file(made[CARD]))
    return replace(revision, files=dict(revision.files) | known, paths=dict(revision.paths) | made)

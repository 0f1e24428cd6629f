"""Edit what a published revision's card says: withdraw it, or add an erratum. Content, its signature and tags stay."""

import csv
import datetime
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from yulan import digest, files, manifest
from yulan.errors import HubError, StateError
from yulan.layout import MANIFEST
from yulan.manifest import File, Manifest
from yulan.release.folder import ALIEN, CARD, CARD_FILES, CARD_SIGNATURE, SIGNATURE, WITHDRAWN
from yulan.release.hub import Hub, StaleHead
from yulan.release.hub_upload import additions
from yulan.release.names import MAIN, Repo, repo
from yulan.release.progress import Say
from yulan.release.pull import LARGEST_LIST
from yulan.release.sign import sign
from yulan.release.withdrawal import BANNERS, ERRATA, Withdrawal, banner
from yulan.schema import check, plain

TABLE = "checkpoints.csv"
COLUMN = "withdrawn"
"""Of checkpoints.csv, from the first withdrawal on."""
Change = Callable[[dict[str, bytes]], None]
"""Edits a card's files in place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Editor:
    """Cards of one release on one hub."""

    hub: Hub
    name: str
    """The model's OWNER/NAME."""
    key: Path | None
    """That the cards were signed with."""
    say: Say

    def withdraw(self, revision: str, reason: str, replacement: str | None) -> list[str]:
        """Say that a revision was withdrawn: on its card, on those of its declared aliases, and in every checkpoints.csv.

        Returns: the branches that were edited. Run again it edits what an interrupted try left.
        Raises: StateError: no such branch, or its card is signed and no key was given; HubError: the hub refuses.
        """
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        made = Withdrawal(format=1, revision=revision, on=today, reason=reason, replacement=replacement)
        raw = plain(made)
        check(raw, "withdrawal", "--reason", StateError)
        edited = []
        for target, branches in self._holding(revision):
            aliases = self._aliases(target, branches, revision)
            for branch in (revision, *aliases):
                mark = json.dumps(raw | {"revision": branch}, indent=1, ensure_ascii=False).encode() + b"\n"
                edited.append(self._edit(target, branch, branches[branch], _withdrawn(made, mark)))
            if MAIN in branches and MAIN not in (revision, *aliases):
                edited.append(self._edit(target, MAIN, branches[MAIN], _listed(made, (revision, *aliases))))
        return [place for place in edited if place]

    def erratum(self, revision: str, text: str) -> list[str]:
        """Add a dated paragraph to the card of a revision. Raises: as `withdraw`."""
        today = datetime.datetime.now(datetime.UTC).date().isoformat()

        def change(card: dict[str, bytes]) -> None:
            row = f"- {today}: {text.strip()}"
            for name, title in ERRATA.items():
                if name in card and row not in (body := card[name].decode("utf-8")):
                    head = "" if f"\n## {title}\n" in body else f"\n## {title}\n"
                    card[name] = (body.rstrip("\n") + f"\n{head}{row}\n").encode()

        return [
            place
            for target, branches in self._holding(revision)
            if (place := self._edit(target, revision, branches[revision], change))
        ]

    def _holding(self, revision: str) -> list[tuple[Repo, dict[str, str]]]:
        """The repositories of the release that have this branch, with all their branches."""
        found = []
        for part in ("data", "states", "model"):
            target = repo(self.name, part)  # type: ignore[arg-type]
            try:
                branches, _ = self.hub.refs(target)
            except HubError:
                continue
            if revision in branches and (revision != MAIN or part != "states"):
                found.append((target, branches))
        if not found:
            raise StateError(
                "no branch of that name", where=f"{self.name}@{revision}", cure="Name one that checkpoints.csv lists"
            )
        return found

    def _aliases(self, target: Repo, branches: Mapping[str, str], revision: str) -> list[str]:
        if MAIN not in branches or TABLE not in self.hub.tree(target, branches[MAIN]):
            return []
        rows = csv.DictReader(io.StringIO(self._read(target, branches[MAIN], TABLE).decode("utf-8")))
        names = [row["revision"] for row in rows if row.get("alias_of") == revision]
        # The states have no branch that holds an alias's weights again: their `main` is the list of all.
        return [name for name in names if name in branches and target.part == "model"]

    def _read(self, target: Repo, commit: str, name: str) -> bytes:
        return b"".join(self.hub.read(target, commit, name))

    def _edit(self, target: Repo, branch: str, head: str, change: Change) -> str | None:
        """Change a branch's card in one commit; null: it says so already."""
        where = f"{target}@{branch}"
        tree = self.hub.tree(target, head)
        if any(name in tree and tree[name].size > LARGEST_LIST for name in (*CARD_FILES, CARD, MANIFEST)):
            raise StateError("its card is too large to be one", where=where, cure="Audit it first: yulan audit")
        if CARD_SIGNATURE in tree and self.key is None:
            raise StateError("its card is signed", where=where, cure="Give the key: --key FILE")
        before = {name: self._read(target, head, name) for name in CARD_FILES if name in tree}
        after = dict(before)
        change(after)
        if after == before:
            return None
        with tempfile.TemporaryDirectory() as folder:
            paths = {name: files.write_bytes(Path(folder) / name, data) for name, data in after.items()}
            listed = _read_list(self._read(target, head, CARD), Path(folder) / "old" / CARD)
            rows = tuple(File(path=name, size=len(data), sha256=digest.of_bytes(data)) for name, data in sorted(after.items()))
            paths[CARD] = Path(folder) / CARD
            manifest.write(paths[CARD], replace(listed, files=rows))
            if self.key is not None:
                sums = {name: "0" * 64 for name in tree if name not in {*CARD_FILES, CARD, ALIEN, SIGNATURE, CARD_SIGNATURE}}
                sums |= {name: digest.of_file(path) for name, path in paths.items()}
                paths |= sign(f"{target.id}@{branch}", sums, self.key, Path(folder), only=CARD_SIGNATURE)
            known = {name: File(path=name, size=p.stat().st_size, sha256=digest.of_file(p)) for name, p in paths.items()}
            operations = additions(paths, known)
            try:
                list(self.hub.upload(target, branch, operations))
                self.hub.commit(target, branch, head, operations, [], f"Edit the card of {branch}")
            except StaleHead:
                self.say(f"{where}: no clear answer to the commit; looking at what is there")
            there = self.hub.tree(target, self.hub.commit_of(target, branch))
            wrong = [name for name in paths if name not in there or not there[name].holds(known[name], paths[name])]
        if wrong:
            cure = "Run the same command again"
            raise HubError("the hub does not hold the card that was sent", where=where, cure=cure, evidence=wrong)
        self.say(f"{where}: card edited")
        return where


def _read_list(raw: bytes, path: Path) -> Manifest:
    return manifest.read(files.write_bytes(path, raw))


def _withdrawn(made: Withdrawal, mark: bytes) -> Change:
    def change(card: dict[str, bytes]) -> None:
        if WITHDRAWN in card:
            return
        card[WITHDRAWN] = mark
        for name in BANNERS:
            if name in card:
                header, body = _cut(card[name].decode("utf-8"))
                card[name] = f"{header}{banner(name, made)}{body}".encode()
        if TABLE in card:
            _listed(made, (made.revision,))(card)

    return change


def _listed(made: Withdrawal, names: tuple[str, ...]) -> Change:
    def change(card: dict[str, bytes]) -> None:
        if TABLE not in card:
            return
        rows = list(csv.DictReader(io.StringIO(card[TABLE].decode("utf-8"))))
        columns = [*(name for name in rows[0] if name != COLUMN), COLUMN] if rows else []
        for row in rows:
            if (row.get("revision") in names or row.get("alias_of") in names) and not row.get(COLUMN):
                row[COLUMN] = str(made)
        out = io.StringIO()
        writer = csv.DictWriter(out, columns, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
        card[TABLE] = out.getvalue().encode()

    return change


def _cut(card: str) -> tuple[str, str]:
    """YAML header and the rest."""
    if card.startswith("---\n") and (end := card.find("\n---\n", 4)) >= 0:
        return card[: end + 5], card[end + 5 :]
    return "", card

"""Signatures of what is about to be published: those that stand on the hub and hold are kept, so that a rerun sends nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from yulan import digest, files
from yulan.errors import IntegrityError
from yulan.manifest import File
from yulan.release.hub import Hub
from yulan.release.names import Repo
from yulan.release.release import Revision
from yulan.release.sign import LARGEST, require_signed, sign, split
from yulan.release.trust import public_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """Of one repository."""

    hub: Hub
    repo: Repo
    key: Path
    folder: Path
    """Where signatures are written: `<revision>/model.sig`."""

    def signed(self, revision: Revision, branches: Mapping[str, str]) -> Revision:
        """The revision with its signatures. An elliptic curve's signature differs each time it is made.

        Raises: StateError: the key cannot be read.
        """
        subject = f"{self.repo.id}@{revision.name}"
        sums = {name: file.sha256 for name, file in revision.files.items()}
        made = self._standing(revision, sums, branches.get(revision.name), subject)
        if made is None:
            made = sign(subject, sums, self.key, self.folder / revision.name)
        known = {name: File(path=name, size=path.stat().st_size, sha256=digest.of_file(path)) for name, path in made.items()}
        return replace(revision, files=dict(revision.files) | known, paths=dict(revision.paths) | made)

    def _standing(self, revision: Revision, sums: Mapping[str, str], head: str | None, subject: str) -> dict[str, Path] | None:
        """Signatures that the hub holds, if they are by this key over these very files."""
        tree = self.hub.tree(self.repo, head) if head is not None else {}
        names = split(sums)
        if head is None or any(name not in tree or tree[name].size > LARGEST for name in names):
            return None
        raw = {name: b"".join(self.hub.read(self.repo, head, name)) for name in names}
        try:
            found = require_signed(raw, sums, public_of(self.key), revision.name)
        except IntegrityError:
            return None
        if found.subject != subject:
            return None
        return {name: files.write_bytes(self.folder / revision.name / name, data) for name, data in raw.items()}

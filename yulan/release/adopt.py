"""A repository that others published, written down as ours are: a manifest a revision, rows of checkpoints.csv, findings.

Nothing is published again and no weights are fetched: large files have their sha256 in the hub's listing, small ones are read
and hashed. What cannot be known is `unknown`.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from yulan import digest, files, manifest
from yulan.errors import DataError, IntegrityError
from yulan.manifest import File, Manifest, require_safe
from yulan.recipe import Recipe
from yulan.recipe.known import Known
from yulan.release.audit.claimed import claimed
from yulan.release.audit.finding import Finding
from yulan.release.audit.layouts import kind, optimizer, phase_of
from yulan.release.audit.run import Audited, more
from yulan.release.audit.survey import Seen, Survey
from yulan.release.audit.texts import STATES, steps_told
from yulan.release.audit.trees import aliases
from yulan.release.folder import COLUMNS
from yulan.release.hub import Remote
from yulan.release.names import MAIN, Repo
from yulan.schema import check, plain

ADOPTED, UNKNOWN = "adopted", "unknown"
LARGEST, COUNT, TOTAL = 16 << 20, 5_000, 512 << 20
"""Bytes of the largest file that is fetched for its sha256 (hubs keep larger ones under theirs), how many, and bytes of all."""
TABLE, FINDINGS, MANIFESTS = "checkpoints.csv", "findings.json", "manifests"


@dataclass(frozen=True, kw_only=True, slots=True)
class Adopted:
    """What is written of one repository."""

    audited: Audited
    manifests: Mapping[str, Manifest]
    """By revision."""
    rows: tuple[Mapping[str, str], ...]
    """Of checkpoints.csv."""


def adopt(survey: Survey, audited: Audited, recipe: Recipe | None = None, known: Known | None = None) -> Adopted:
    """Take down every revision. `known` is what the authors say of it, in phases of `recipe`.

    Raises: DataError: more or larger small files than are fetched; IntegrityError: a name that no manifest may hold, or other
    bytes than are listed; HubError: the hub does not answer.
    """
    if recipe is not None and known is not None:
        audited = more(audited, claimed(survey, recipe, known))
    wrong = {each.where for each in audited.findings if each.id in {"label-step", "claimed-step"}}
    sums, made, rows = Sums(survey), {}, []
    for seen in survey.revisions:
        about = _about(survey, seen, recipe, known)
        if seen.name in wrong:
            about |= {"step": UNKNOWN}
        listed = tuple(sums.file(seen, name, remote) for name, remote in sorted(seen.files.items()))
        require_safe([file.path for file in listed], Path(f"{survey.repo}@{seen.name}"))
        made[seen.name] = Manifest(
            format=manifest.FORMAT,
            stage=ADOPTED,
            name=f"{survey.repo}@{seen.name}",
            files=listed,
            inputs={},
            keys={},
            summary=about | {"layout": kind(seen.files)},
            determinism=None,
        )
        rows.append(_row(survey, seen, about, made[seen.name].digest))
    requests = survey.hub.requests if survey.hub else 0
    return Adopted(audited=replace(audited, requests=requests), manifests=made, rows=tuple(rows))


class Sums:
    """sha256 of every file: as listed, or of bytes that are read once for all revisions that hold them."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._known: dict[str, str] = {}
        self._left = [COUNT, TOTAL]

    def file(self, seen: Seen, name: str, remote: Remote) -> File:
        sha256 = remote.sha256 or self._known.get(remote.blob) or self._read(seen, name, remote)
        self._known.setdefault(remote.blob, sha256)
        return File(path=name, size=remote.size, sha256=sha256)

    def _read(self, seen: Seen, name: str, remote: Remote) -> str:
        where = f"{self._survey.repo}@{seen.name}:{name}"
        self._left = [self._left[0] - 1, self._left[1] - remote.size]
        if remote.size > LARGEST or min(self._left) < 0 or self._survey.hub is None:
            raise DataError(
                "the hub lists no sha256 of it, and there is too much of the kind to fetch",
                where=where,
                cure=f"At most {COUNT:,} files of {LARGEST:,} bytes are fetched for that; adopt one revision: hf://OWNER/NAME@REVISION",
            )
        data = self._survey.hub.whole(self._survey.repo, seen.commit, name, remote.size)
        if digest.git_blob(data) != remote.blob:
            raise IntegrityError("the hub serves other bytes than it lists", where=where, cure="Do not use this repository")
        return digest.of_bytes(data)


def _about(survey: Survey, seen: Seen, recipe: Recipe | None, known: Known | None) -> dict[str, Any]:
    """Stage, phase, step, tokens and architecture of a revision."""
    told = set(steps_told(survey, seen).values())
    said = known if known is not None and seen.name == MAIN else None
    phase = said.phase if said else (phase_of(seen.name).strip("-_/") if seen.name != MAIN else "")
    return {
        "stage": recipe.phase(said.phase).regime if said and recipe else UNKNOWN,
        "phase": phase or UNKNOWN,
        "step": told.pop() if len(told) == 1 else UNKNOWN,
        "tokens": _tokens(survey, seen),
        "architecture": _architecture(survey, seen),
    }


def _tokens(survey: Survey, seen: Seen) -> int | str:
    """As a trainer's state tells them; transformers writes 0 where it did not count."""
    for state in _objects(survey, seen, STATES):
        for key in ("tokens", "num_input_tokens_seen"):
            if isinstance(state.get(key), int) and state[key] > 0:
                return int(state[key])
    return UNKNOWN


def _architecture(survey: Survey, seen: Seen) -> str:
    told = [config.get("model_type") for config in _objects(survey, seen, {"config.json"})]
    return next((each for each in told if isinstance(each, str)), UNKNOWN)


def _objects(survey: Survey, seen: Seen, names: set[str]) -> Iterator[dict[str, Any]]:
    for name in sorted(seen.files):
        if name.rpartition("/")[2] in names:
            try:
                told = survey.json(seen, name)
            except ValueError:
                continue
            if isinstance(told, dict):
                yield told


def _row(survey: Survey, seen: Seen, about: Mapping[str, Any], own: str) -> dict[str, str]:
    tags = sorted(tag for tag, commit in survey.tags.items() if commit == seen.commit)
    return {
        "repo": str(survey.repo),
        "commit": seen.commit,
        **{key: str(value) for key, value in about.items()},
        "revision": seen.name,
        "digest": own,
        "states": own if optimizer(seen.files) else "",
        "alias_of": aliases(survey).get(seen.name, ""),
        "begin": UNKNOWN,
        "tags": " ".join(tags),
    }


def absent(repo: Repo, known: Known | None) -> Adopted:
    """A repository that is said to be published and is not on the hub, or not for everybody."""
    named = "" if known is None or known.linked else "; its name is known, an address was never given"
    found = Finding(id="not-there", severity="error", where=repo.id, what=f"not on this hub, or not for everybody{named}")
    nothing = Audited(
        format=2, repo=str(repo), revisions=0, files=0, bytes=0, layouts=(), requests=1, findings=(found,), notes=()
    )
    return Adopted(audited=nothing, manifests={}, rows=())


def write(into: Path, adopted: Mapping[str, Adopted]) -> None:
    """Write a folder for each repository, by its OWNER/NAME, and the table of all; the table last.

    Raises: StateError: something lies there.
    """
    with files.new_folder(into) as folder:
        for repo, each in adopted.items():
            place = folder / repo
            for revision, made in each.manifests.items():
                # A branch may be called a/b; a file may not.
                manifest.write(place / MANIFESTS / f"{quote(revision, safe='')}.json", made)
            raw = plain(each.audited)
            check(raw, "audit", place / FINDINGS, DataError)
            files.write_json(place / FINDINGS, raw)
        out = io.StringIO()
        table = csv.DictWriter(out, ("repo", "commit", *COLUMNS), lineterminator="\n")
        table.writeheader()
        table.writerows(row for each in adopted.values() for row in each.rows)
        files.write_text(folder / TABLE, out.getvalue())

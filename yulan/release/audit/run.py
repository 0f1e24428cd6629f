"""All rules over one repository, and what they found."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from yulan import digest
from yulan.errors import HubError, YulanError
from yulan.release.audit import ranges, texts, trees
from yulan.release.audit.asked import Asked
from yulan.release.audit.casts import casts
from yulan.release.audit.distances import distances
from yulan.release.audit.elsewhere import Follow
from yulan.release.audit.finding import Finding, Severity, among
from yulan.release.audit.layouts import kind
from yulan.release.audit.links import links
from yulan.release.audit.survey import Seen, Survey, look
from yulan.release.audit.whole import whole
from yulan.release.names import Repo

Rule = Callable[[Survey], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    trees.identical,
    # Before the others: what it reads of each revision is what the allowance of reads is for.
    texts.steps_agree,
    trees.shared_shards,
    trees.names,
    trees.missing,
    trees.vanished,
    whole,
    trees.vanished_states,
    trees.pickles,
    trees.remote_code,
    texts.oversized,
    texts.as_listed,
    texts.licences,
    texts.claims,
    texts.said_since,
    texts.secrets,
    ranges.heads,
)
ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Audited:
    format: int
    repo: str
    revisions: int
    files: int
    """Of all revisions together."""
    bytes: int
    """Of different files, each counted once."""
    layouts: tuple[str, ...]
    """How its revisions are laid out."""
    requests: int
    """That the hub was asked for it."""
    findings: tuple[Finding, ...]
    """Errors and warnings."""
    notes: tuple[Finding, ...]
    """What was not looked at, and what is good to know."""


def audit(survey: Survey, beside: Survey | None = None, follow: Follow | None = None) -> Audited:
    """Ask every rule. `beside`: the repository that holds the fp32 masters of this one's revisions; `follow` asks other hosts."""
    rules: tuple[Rule, ...] = (
        *RULES,
        lambda survey: links(survey, follow),
        lambda survey: casts(survey, survey if beside is None else beside),
        lambda survey: distances(survey, beside),
        unread,
    )
    found = [finding for rule in rules for finding in _asked(rule, survey)]
    sizes = {remote.blob: remote.size for _, _, remote in survey.distinct()}
    return Audited(
        format=2,
        repo=str(survey.repo),
        revisions=len(survey.revisions),
        files=sum(len(seen.files) for seen in survey.revisions),
        bytes=sum(sizes.values()),
        layouts=tuple(sorted({kind(seen.files) for seen in survey.revisions})),
        requests=survey.hub.requests if survey.hub else 0,
        **_told(found),
    )


def _asked(rule: Rule, survey: Survey) -> Iterator[Finding]:
    try:
        yield from rule(survey)
    except HubError:
        raise
    except YulanError as error:
        yield Finding(id="unreadable", severity="error", where=survey.repo.id, what=error.what)


def unread(survey: Survey) -> Iterator[Finding]:
    """What small files gave other bytes than are listed, and which were not read."""
    for where in sorted(survey.other):
        yield Finding(id="other-bytes", severity="error", where=where, what="the hub serves other bytes than it lists")
    if survey.refused:
        what = f"listed, and not given out to this reader: {among(sorted(survey.refused))}"
        yield Finding(id="not-served", severity="error", where=survey.repo.id, what=what)
    if len(survey.looked) < len(survey.revisions):
        some = f"{len(survey.looked)} of {len(survey.revisions)} revisions"
        what = f"besides trainers' states, texts of {some} were read; --deep reads all"
        yield Finding(id="sampled", severity="note", where=survey.repo.id, what=what)
    if survey.unread:
        what = f"{len(survey.unread)} small files were not read; --deep reads all"
        yield Finding(id="sampled", severity="note", where=survey.repo.id, what=what)


def compare(one: Survey, other: Survey, name: str) -> Iterator[Finding]:
    """Two hubs serve the same under the same revisions."""
    theirs = {seen.name: seen for seen in other.revisions}
    for seen in one.revisions:
        if seen.name not in theirs:
            yield Finding(id="mirror", severity="error", where=seen.name, what=f"{name} lacks this revision")
            continue
        there = theirs[seen.name]
        rows = [f"missing {path}" for path in sorted(seen.files.keys() - there.files.keys())]
        rows += [f"extra {path}" for path in sorted(there.files.keys() - seen.files.keys())]
        both = sorted(seen.files.keys() & there.files.keys())
        rows += [f"changed {path}" for path in both if not _same(one, seen, other, there, path)]
        yield from (Finding(id="mirror", severity="error", where=seen.name, what=f"{name}: {row}") for row in rows)
    for extra in sorted(theirs.keys() - {seen.name for seen in one.revisions}):
        yield Finding(id="mirror", severity="warning", where=extra, what=f"only {name} has this revision")


def _same(one: Survey, seen: Seen, other: Survey, there: Seen, path: str) -> bool:
    """Whether two hubs have the same bytes. Where one stores a file as large and one as small, the small one is read."""
    here, mirror = seen.files[path], there.files[path]
    if here.size != mirror.size or bool(here.sha256) == bool(mirror.sha256):
        return (here.size, here.sha256 or here.blob) == (mirror.size, mirror.sha256 or mirror.blob)
    data = other.data(there, path) if here.sha256 else one.data(seen, path)
    return data is not None and digest.of_bytes(data) == (here.sha256 or mirror.sha256)


def more(audited: Audited, findings: Iterable[Finding], requests: int = 0) -> Audited:
    """With further findings, in order, and what asking for them took."""
    return replace(audited, requests=audited.requests + requests, **_told([*audited.findings, *audited.notes, *findings]))


def _told(found: Iterable[Finding]) -> dict[str, Any]:
    rows = sorted(found, key=lambda f: (ORDER[f.severity], f.id, f.where, f.what))
    return {
        "findings": tuple(row for row in rows if row.severity != "note"),
        "notes": tuple(row for row in rows if row.severity == "note"),
    }


def states_of(hub: Asked, repo: Repo, *, deep: bool = False) -> Survey | None:
    """The repository `NAME-states` of a release, if the hub has one."""
    if repo.part != "model":
        return None
    try:
        return look(hub, Repo(id=f"{repo.id}-states", part="states"), deep=deep)
    except HubError:
        return None

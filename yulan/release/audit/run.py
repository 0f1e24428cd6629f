"""All rules over one repository, and what they found."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from yulan.errors import HubError, YulanError
from yulan.release.audit import ranges, texts, trees
from yulan.release.audit.finding import Finding
from yulan.release.audit.layouts import kind
from yulan.release.audit.survey import Survey, look
from yulan.release.hub import Hub
from yulan.release.names import Repo

Rule = Callable[[Survey], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    trees.identical,
    trees.shared_shards,
    trees.missing,
    trees.vanished_states,
    trees.pickles,
    trees.remote_code,
    texts.steps_agree,
    texts.as_listed,
    texts.licences,
    texts.secrets,
    texts.claims,
    texts.links,
    ranges.heads,
)
ORDER = {"error": 0, "warning": 1, "note": 2}


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
    findings: tuple[Finding, ...]


def audit(survey: Survey, beside: Survey | None = None) -> Audited:
    """Ask every rule. `beside`: the repository that holds the fp32 masters of this one's revisions."""
    found: list[Finding] = []
    for rule in RULES:
        found += _asked(rule, survey)
    if beside is not None:
        found += list(ranges.casts(survey, beside))
    sizes = {remote.blob: remote.size for _, _, remote in survey.distinct()}
    return Audited(
        format=1,
        repo=str(survey.repo),
        revisions=len(survey.revisions),
        files=sum(len(seen.files) for seen in survey.revisions),
        bytes=sum(sizes.values()),
        layouts=tuple(sorted({kind(seen.files) for seen in survey.revisions})),
        findings=_sorted(found),
    )


def _asked(rule: Rule, survey: Survey) -> Iterator[Finding]:
    try:
        yield from rule(survey)
    except HubError:
        raise
    except YulanError as error:
        yield Finding(id="unreadable", severity="error", where=survey.repo.id, what=error.what)


def compare(one: Survey, other: Survey, name: str) -> Iterator[Finding]:
    """Two hubs serve the same under the same revisions."""
    theirs = {seen.name: seen for seen in other.revisions}
    for seen in one.revisions:
        if seen.name not in theirs:
            yield Finding(id="mirror", severity="error", where=seen.name, what=f"{name} lacks this revision")
            continue
        there = theirs[seen.name].files
        rows = [f"missing {path}" for path in sorted(seen.files.keys() - there.keys())]
        rows += [f"extra {path}" for path in sorted(there.keys() - seen.files.keys())]
        rows += [
            f"changed {path}"
            for path in sorted(seen.files.keys() & there.keys())
            if (seen.files[path].size, seen.files[path].sha256 or seen.files[path].blob)
            != (there[path].size, there[path].sha256 or there[path].blob)
        ]
        yield from (Finding(id="mirror", severity="error", where=seen.name, what=f"{name}: {row}") for row in rows)
    for extra in sorted(theirs.keys() - {seen.name for seen in one.revisions}):
        yield Finding(id="mirror", severity="warning", where=extra, what=f"only {name} has this revision")


def more(audited: Audited, findings: Iterable[Finding]) -> Audited:
    """With further findings, in order."""
    return replace(audited, findings=_sorted([*audited.findings, *findings]))


def _sorted(found: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda f: (ORDER[f.severity], f.id, f.where, f.what)))


def states_of(hub: Hub, repo: Repo) -> Survey | None:
    """The repository `NAME-states` of a release, if the hub has one."""
    if repo.part != "model":
        return None
    try:
        return look(hub, Repo(id=f"{repo.id}-states", part="states"))
    except HubError:
        return None

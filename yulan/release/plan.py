"""What a publication would do, to be read first; `publish --apply` does that and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan import files
from yulan.errors import DataError, StateError
from yulan.release.folder import ALIEN, RECORDS
from yulan.release.hub import Hub, Refused
from yulan.release.names import PARTS, Part, repo
from yulan.release.publication import hub_name
from yulan.release.release import Release, Revision
from yulan.release.transaction import Guard, Tree, holds
from yulan.schema import check, plain, read_json

PUBLIC_QUOTA, PRIVATE_QUOTA = 5 * 10**12, 100 * 10**9
"""Bytes that a free account may keep: public ones at best effort. From the Hub's documentation; it may move: --quota."""
Parts = Mapping[Part, list[Revision]]
Heads = Mapping[Part, Mapping[str, str]]
"""Branches of each repository, by name with their commit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One branch."""

    name: str
    digest: str
    """Content digest."""
    files: int
    bytes: int
    new: int | None
    """Bytes of files that the branch does not hold, signatures aside; null: no hub was asked."""
    head: str | None
    """Its commit when the plan was made; null: there was no such branch, or no hub was asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One repository."""

    id: str
    kind: str
    bytes: int
    """Of all its revisions; equal files count once."""
    new: int | None
    """Of these, bytes that none of its branches holds; null: no hub was asked."""
    revisions: tuple[Step, ...]
    tags: Mapping[str, str]
    """Tag -> branch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    format: int
    hub: str | None
    """As in a publication record; null: no hub was asked."""
    private: bool
    """Repositories that are not there are made private."""
    bundle: str
    """Content digest of the bundle."""
    bytes: int
    """Of the three repositories."""
    quota: int
    """Bytes that the account may keep."""
    repos: tuple[Target, ...]


def heads(hub: Hub, name: str) -> Heads:
    """What is on the hub now; a repository that is not there, or not for this token, has no branches."""
    found: dict[Part, Mapping[str, str]] = {}
    for part in PARTS:
        try:
            found[part] = hub.refs(repo(name, part))[0]
        except Refused:
            found[part] = {}
    return found


def draw(
    release: Release, bundle: str, parts: Parts, *, private: bool, quota: int | None, hub: Hub | None, now: Heads | None
) -> Plan:
    """`hub` and its heads `now`: null where none is asked."""
    targets = []
    for part, made in parts.items():
        target = repo(release.name, part)
        at = {r.name: now[part][r.name] for r in made if r.name in now[part]} if now is not None else {}
        trees = {name: hub.tree(target, head) for name, head in at.items()} if hub is not None else {}
        held = {f.sha256 for r in made for name, f in r.files.items() if holds(r, trees.get(r.name, {}), name)}
        steps = tuple(
            Step(
                name=r.name,
                digest=r.digest,
                files=len(r.files),
                bytes=r.size,
                new=None if hub is None else sum(f.size for n, f in r.files.items() if not holds(r, trees.get(r.name, {}), n)),
                head=at.get(r.name),
            )
            for r in made
        )
        sizes = {f.sha256: f.size for r in made for f in r.files.values()}
        new = None if hub is None else sum(size for sha256, size in sizes.items() if sha256 not in held)
        tags = dict(release.part(part).tags)
        total = sum(sizes.values())
        targets.append(Target(id=target.id, kind=target.kind, bytes=total, new=new, revisions=steps, tags=tags))
    return Plan(
        format=1,
        hub=hub_name(hub.endpoint) if hub is not None else None,
        private=private,
        bundle=bundle,
        bytes=sum(target.bytes for target in targets),
        quota=quota or (PRIVATE_QUOTA if private else PUBLIC_QUOTA),
        repos=tuple(targets),
    )


def require_room(plan: Plan) -> None:
    """Raises: StateError: more than the account may keep."""
    if plan.bytes > plan.quota:
        raise StateError(
            f"{plan.bytes:,} bytes are more than the {plan.quota:,} that the account may keep",
            cure="Publish fewer checkpoints, or say what your account may keep: --quota BYTES",
            evidence=[f"{target.id}: {target.bytes:,} bytes" for target in plan.repos],
        )


def write_plan(path: Path, plan: Plan) -> None:
    raw = plain(plan)
    check(raw, "plan", path, DataError)
    files.write_json(path, raw)


def read_plan(path: Path) -> Plan:
    """Raises: DataError: no plan, or it breaks its schema; StateError: it was made without asking a hub."""
    plan = read_json(path, "plan", Plan)
    if plan.hub is None:
        raise StateError("was made without asking a hub", where=path, cure="Make one with: yulan publish --plan FILE")
    return plan


def require_agreed(agreed: Plan, plan: Plan) -> None:
    """The plan that would be carried out is the one that was agreed to, heads aside.

    Raises: StateError: it differs; how is said.
    """
    rows = [
        f"{key}: {getattr(agreed, key)} in the plan, {getattr(plan, key)} now"
        for key in ("hub", "bundle", "private")
        if getattr(agreed, key) != getattr(plan, key)
    ]
    then, now = _contents(agreed), _contents(plan)
    rows += [f"{name}: {then.get(name)} in the plan, {now.get(name)} now" for name in sorted(then.keys() | now.keys())
             if then.get(name) != now.get(name)]  # fmt: skip
    if rows:
        raise StateError(
            "this is not what was planned", where=plan.repos[-1].id, cure="Review a new one: yulan publish --plan FILE",
            evidence=rows,
        )  # fmt: skip


def _contents(plan: Plan) -> dict[str, str]:
    told = {f"{target.id}@{step.name}": step.digest for target in plan.repos for step in target.revisions}
    return told | {f"{target.id} tag {tag}": branch for target in plan.repos for tag, branch in target.tags.items()}


def guard(agreed: Plan, part: Part, revision: Revision) -> Guard:
    """Refuses a branch that somebody moved since the plan was made; our own interrupted try is none."""
    (target,) = (each for each, name in zip(agreed.repos, PARTS, strict=True) if name == part)
    (step,) = (each for each in target.revisions if each.name == revision.name)

    def look(head: str | None, tree: Tree) -> None:
        as_planned = head == step.head or (step.head is None and not tree.keys() - {ALIEN})
        own = [name for name in revision.files if not name.startswith(f"{RECORDS}/")]
        if not as_planned and not all(holds(revision, tree, name) for name in own):
            raise StateError(
                "was moved since the plan was made",
                where=f"{target.id}@{step.name}",
                cure="Review a new one: yulan publish --plan FILE",
                evidence=[f"{step.head or 'no branch'} in the plan, {head} now"],
            )

    return look

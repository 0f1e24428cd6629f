"""A release onto a hub: data, states, then the model, whose tag comes last of all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from yulan import digest
from yulan.errors import HubError
from yulan.layout import Layout
from yulan.release import publication
from yulan.release.choose import choose, tell
from yulan.release.hub import Hub
from yulan.release.names import MAIN, PARTS, Part, Repo, repo
from yulan.release.patience import PATIENCE, persist
from yulan.release.plan import Plan, draw, guard, heads, require_agreed, require_room
from yulan.release.progress import Say
from yulan.release.publication import Branch, Publication, Published
from yulan.release.ready import Ready
from yulan.release.records import gather
from yulan.release.release import Release, Revision, everything
from yulan.release.signer import Signer
from yulan.release.transaction import Put, Transaction
from yulan.release.verdict import VERDICT

LAST = "final"
"""Set after every other tag of a repository."""
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class How:
    """What a release manager decides."""

    key: Path | None = None
    """The private key that each revision is signed with; null: they stay unsigned."""
    every: bool = False
    """All checkpoints, not the tagged ones alone."""
    checkpoints: tuple[str, ...] = ()
    """More of them, by name."""
    private: bool = False
    quota: int | None = None
    """Bytes that the account may keep; null: what the Hub's documentation says."""
    collection: str | None = None
    """Slug of a collection that the three repositories join in the end."""
    agreed: Plan | None = None
    """A plan that was reviewed: do this and nothing else."""
    patience: float = PATIENCE
    """Seconds that one step may wait for a hub that is away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """What is to be there in the end."""

    release: Release
    parts: dict[Part, list[Revision]]
    plan: Plan


def prepare(ready: Ready, layout: Layout, commit: str, how: How, hub: Hub | None) -> Outgoing:
    """Choose checkpoints, gather the records, draw the plan. Nothing is written to the hub; null: it is not even asked.

    Raises: StateError: more than the account may keep, or not what was agreed to.
    """
    now = heads(hub, ready.release.name) if hub is not None else None
    there = {*now["model"], *now["states"]} if now is not None else set()
    named = {step.name for step in how.agreed.repos[-1].revisions} - {MAIN} if how.agreed else how.checkpoints
    release = choose(ready.bundle, ready.release, every=how.every and not how.agreed, named=named, there=there)
    runs = _runs(layout)
    parts = {
        part: [tell(each, release, runs / "cards" / part) for each in made]
        for part, made in everything(ready.bundle, release, gather(ready, layout, commit)).items()
    }
    private = how.agreed.private if how.agreed else how.private
    quota = how.agreed.quota if how.agreed else how.quota
    drawn = draw(release, ready.manifest.digest, parts, private=private, quota=quota, hub=hub, now=now)
    require_room(drawn)
    if how.agreed is not None and hub is not None and now is not None:
        require_agreed(how.agreed, drawn)
        for part, made in parts.items():
            for each in made:
                head = now[part].get(each.name)
                tree = hub.tree(repo(release.name, part), head) if head is not None else {}
                guard(how.agreed, part, each)(head, tree)
    return Outgoing(release=release, parts=parts, plan=drawn)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """One repository, as it was published."""

    target: Repo
    made: list[Revision]
    puts: Mapping[str, Put]
    """By branch."""


def publish(ready: Ready, layout: Layout, hub: Hub, commit: str, say: Say, how: How) -> Path | None:
    """Publish, or finish what an interrupted try began. Returns the new publication record; None: nothing was left to do.

    Raises: HubError: refused, failed, or the hub holds other bytes; StateError: as `prepare`.
    """
    say(f"{hub.endpoint}: writing as {hub.who()}")

    def persisting(work: Callable[[], Result]) -> Result:
        return persist(work, say, how.patience)

    out = persisting(lambda: prepare(ready, layout, commit, how, hub))
    done = {part: _send(out, part, layout, hub, say, how) for part in PARTS}
    tags = {}
    for part, each in done.items():
        wanted = {name: each.puts[branch].commit for name, branch in out.release.part(part).tags.items()}
        tags[part] = persisting(lambda each=each, wanted=wanted: tag(hub, each.target, wanted, say))  # type: ignore[misc]
    if how.collection is not None:
        hub.collect(how.collection, [each.target for each in done.values()])
        say(f"{how.collection}: holds all three")
    puts = [put for each in done.values() for put in each.puts.values()]
    sent, present = sum(put.sent for put in puts), sum(put.present for put in puts)
    say(f"sent {sent:,} bytes; {present:,} more were on the hub already and were not sent again")
    record = Publication(
        format=1,
        previous=None,
        bundle=ready.manifest.digest,
        verdict=digest.of_file(layout.stage("gate").data / VERDICT),
        commit=commit,
        lock=digest.of_file(layout.root / "dvc.lock"),
        hub=publication.hub_name(hub.endpoint),
        time=publication.now(),
        repos=tuple(_published(each, tags[part]) for part, each in done.items()),
    )
    return publication.add(layout.artifacts / "publications", record)


def _send(out: Outgoing, part: Part, layout: Layout, hub: Hub, say: Say, how: How) -> Done:
    """One repository: made if it is not there, its branches in order, `main` last."""
    target, made = repo(out.release.name, part), out.parts[part]

    def begin() -> list[Revision]:
        hub.create(target, private=out.plan.private)
        if how.key is None:
            return made
        branches, _ = hub.refs(target)
        signer = Signer(hub=hub, repo=target, key=how.key, folder=_runs(layout) / "signatures" / part)
        return [signer.signed(revision, branches) for revision in made]

    puts = {}
    signed = persist(begin, say, how.patience)
    for plain, revision in zip(made, signed, strict=True):
        transaction = Transaction(hub, target, revision, say, guard(how.agreed, part, plain) if how.agreed else None)
        puts[revision.name] = persist(transaction.put, say, how.patience)
    return Done(target=target, made=signed, puts=puts)


def _runs(layout: Layout) -> Path:
    return layout.root / "runs" / layout.recipe


def tag(hub: Hub, target: Repo, wanted: Mapping[str, str], say: Say) -> dict[str, str]:
    """Set the tags, `final` last. One that stands elsewhere is moved: a digest pins a release, not a tag."""
    _, there = hub.refs(target)
    for name in sorted(wanted, key=lambda name: (name == LAST, name)):
        if there.get(name) == wanted[name]:
            continue
        if name in there:
            hub.untag(target, name)
        hub.tag(target, name, wanted[name])
        say(f"{target}: tag {name} -> {wanted[name][:12]}")
    _, after = hub.refs(target)
    if wrong := [f"{name} -> {after.get(name)}" for name in wanted if after.get(name) != wanted[name]]:
        raise HubError("the hub holds other tags than were set", where=target, cure="Run the same command again", evidence=wrong)
    return dict(wanted)


def _published(done: Done, tags: Mapping[str, str]) -> Published:
    branches = {r.name: Branch(commit=done.puts[r.name].commit, digest=r.digest) for r in done.made}
    return Published(id=done.target.id, kind=done.target.kind, revisions=branches, tags=tags)

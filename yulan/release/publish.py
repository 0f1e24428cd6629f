"""A release onto a hub: data, states, then the model, whose tag comes last of all."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from yulan import digest, files, manifest
from yulan.errors import HubError
from yulan.layout import MANIFEST, Layout
from yulan.recipe.sources import load_sources
from yulan.release import publication
from yulan.release.hub import Hub
from yulan.release.lineage.statement import STATEMENT, statement
from yulan.release.names import PARTS, Part, Repo, repo
from yulan.release.publication import Branch, Publication, Published
from yulan.release.ready import Ready
from yulan.release.release import Release, Revision, everything
from yulan.release.signer import Signer
from yulan.release.transaction import Put, Say, put
from yulan.release.verdict import VERDICT
from yulan.schema import load_json

MANIFESTS = "manifests"
"""In the records: manifests of the stages after the bundle's inputs, which `lineage/` has not."""
LAST = "final"
"""Set after every other tag of a repository."""


def plan(ready: Ready) -> dict[str, object]:
    """What would be sent, as JSON; asks no hub."""
    parts = everything(ready.bundle, ready.release)
    repos = [
        {
            "repo": str(repo(ready.release.name, part)),
            "bytes": sum({f.sha256: f.size for r in made for f in r.files.values()}.values()),
            "revisions": [{"name": r.name, "files": len(r.files), "bytes": r.size, "digest": r.digest} for r in made],
            "tags": dict(ready.release.part(part).tags),
        }
        for part, made in parts.items()
    ]
    return {"bundle": ready.manifest.digest, "repos": repos}


def publish(ready: Ready, layout: Layout, hub: Hub, commit: str, say: Say, key: Path | None = None) -> Path | None:
    """Publish, or finish what an interrupted try began. Returns the new publication record; None: nothing was left to do.

    `key`: the private key that each revision is signed with; null: they stay unsigned.

    Raises: HubError: refused, failed, or the hub holds other bytes.
    """
    say(f"{hub.endpoint}: writing as {hub.who()}")
    records = gather(ready, layout, commit)
    parts = everything(ready.bundle, ready.release, records)
    done: dict[Part, tuple[Repo, dict[str, Put]]] = {}
    for part in PARTS:
        target = repo(ready.release.name, part)
        hub.create(target)
        branches, _ = hub.refs(target)
        if key is not None:
            signer = Signer(hub=hub, repo=target, key=key, folder=layout.root / "runs" / layout.recipe / "signatures" / part)
            parts[part] = [signer.signed(made, branches) for made in parts[part]]
        done[part] = target, {made.name: put(hub, target, made, branches, say) for made in parts[part]}
    tags = {part: tag(hub, target, _tags(ready.release, part, puts), say) for part, (target, puts) in done.items()}
    sent = sum(p.sent for _, puts in done.values() for p in puts.values())
    present = sum(p.present for _, puts in done.values() for p in puts.values())
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
        repos=tuple(_published(target, parts[part], puts, tags[part]) for part, (target, puts) in done.items()),
    )
    return publication.add(layout.artifacts / "publications", record)


def _tags(release: Release, part: Part, puts: Mapping[str, Put]) -> dict[str, str]:
    return {tag: puts[branch].commit for tag, branch in release.part(part).tags.items()}


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


def _published(target: Repo, made: list[Revision], puts: Mapping[str, Put], tags: Mapping[str, str]) -> Published:
    branches = {r.name: Branch(commit=puts[r.name].commit, digest=r.digest) for r in made}
    return Published(id=target.id, kind=target.kind, revisions=branches, tags=tags)


def gather(ready: Ready, layout: Layout, commit: str) -> Path:
    """The record half that travels on `main` of the states: records of every artifact, verdict, dvc.lock, git commit.

    It is outside every content list and has its own, so that two builds of equal contents keep equal digests.
    """
    folder = layout.root / "runs" / layout.recipe / "records"
    with files.new_folder(folder) as made:
        files.link(layout.stage("gate").data / VERDICT, made / VERDICT)
        files.copy(layout.root / "dvc.lock", made / "dvc.lock")
        files.write_json(made / "commit.json", {"commit": commit})
        for stage in ("bundle", "gate", "report"):
            if layout.stage(stage).manifest.exists():
                files.copy(layout.stage(stage).manifest, made / MANIFESTS / f"{stage}.json")
        for path in sorted(layout.artifacts.rglob(MANIFEST)):
            if "data" in path.relative_to(layout.artifacts).parts:
                continue
            record = layout.record(manifest.read(path).digest)
            if record.exists():
                files.copy(record, made / record.name)
        files.write_json(made / STATEMENT, _statement(ready, layout, commit, made))
        listed = manifest.Manifest(
            format=manifest.FORMAT,
            stage="records",
            name=layout.recipe,
            files=manifest.survey(made),
            inputs={"bundle": ready.manifest.digest},
            keys={},
            summary={},
            determinism=None,
        )
        manifest.write(made / MANIFEST, listed)
    return folder


def _statement(ready: Ready, layout: Layout, commit: str, records: Path) -> dict[str, Any]:
    """Built from the records that were gathered, so that a rerun says the same."""
    told = [load_json(path) for path in sorted(records.glob("*.json")) if path.stem.isalnum() and len(path.stem) == 64]
    ends = [datetime.fromisoformat(each["started"]) + timedelta(seconds=each["seconds"]) for each in told]
    sources = layout.recipe_folder / "sources.yaml"
    return statement(
        ready.release,
        commit=commit,
        lock=digest.of_file(layout.root / "dvc.lock"),
        packages=load_sources(sources).packages if sources.is_file() else {},
        started=min((each["started"] for each in told), default=None),
        finished=max(ends).isoformat(timespec="seconds") if ends else None,
    )

"""What a request to remove a document touches: what was trained on it, which files hold it, and what of it was published."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import files, manifest
from yulan.data.holdings import Kind, cached, group, holdings, upstream
from yulan.data.index.header import HEADER
from yulan.data.index.read import Index
from yulan.errors import DataError, StateError
from yulan.layout import MANIFEST, Layout, recipe_names
from yulan.recipe import Book, Recipe
from yulan.recipe.removed import REMOVED, Reason, Removal, load_removed, write_removed
from yulan.release.names import MAIN
from yulan.release.publication import chain
from yulan.schema import check, plain

UPSTREAM = "sources"
"""Holds packages as others published them: pinned, never published from here, and not changed by a removal."""
STAGES = ("raw", "clean", "synthesize", "dedup", "scored", "decontaminated", "shards", "index")
"""Stages whose files are asked; one that a recipe lacks holds nothing."""
BUNDLE = f"data/{MAIN}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A document and a phase that trained on it."""

    document: str
    phase: str
    steps: tuple[int, ...]
    """Global steps, from 1, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A file of an artifact that holds a document."""

    artifact: str
    file: str
    kind: Kind
    sha256: str
    cached: str | None
    """Its object in DVC's cache and remotes; null: the cache here has no list of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """A published file to delete for good: its sha256 is the name of its object on the hub."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """A published revision of the data repository."""

    hub: str
    repo: str
    commit: str
    digest: str
    files: tuple[Gone, ...] | None
    """Those with text; null: it was published from another build than the one that is here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """removals/*.json: no text and no name."""

    format: int
    recipe: str
    documents: tuple[Removal, ...]
    """The one that was asked for, then what goes with it."""
    trained: tuple[Trained, ...] | None
    """Null: no index is here to say."""
    inherited: tuple[str, ...]
    """Phases that began from weights which had seen it."""
    held: tuple[Held, ...]
    published: tuple[Copied, ...]

    @property
    def phases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.phase for each in self.trained or ()))


def plan(layout: Layout, book: Book, identity: str, date: str, reason: Reason) -> Plan:
    """Look everything up; nothing is written.

    Raises: StateError: it was removed before, or the stage that would know it is not there; DataError: no such document.
    """
    known = book.removed.find(identity)
    if known is not None:
        raise StateError(
            f"document {identity[:12]} was removed on request on {known.date} already",
            where=layout.recipe,
            cure="Build again with: dvc repro",
        )
    _require_here(layout, identity)
    made = layout.stage("synthesize").data
    others = group(layout.stage("dedup").data / "drops.parquet", made, identity)
    fresh = [each for each in others if book.removed.find(each) is None]
    documents = (
        Removal(id=identity, date=date, reason=reason, goes_with=None),
        *(Removal(id=each, date=date, reason=reason, goes_with=identity) for each in fresh),
    )
    ids = {each.id for each in documents}
    trained = _trained(layout, book.recipe, ids)
    seen = {each.phase for each in trained or ()}
    after = (phase for phase in book.recipe.phases if phase not in seen and seen & set(book.recipe.path(phase)))
    held = tuple(_held(layout, book, ids))
    return Plan(
        format=1,
        recipe=layout.recipe,
        documents=documents,
        trained=trained,
        inherited=tuple(after),
        held=held,
        published=tuple(_published(layout, held)),
    )


def remove(layout: Layout, book: Book, made: Plan) -> Path:
    """Write the entries, and what they touch as a record; returns the record. The next build does the rest."""
    raw: dict[str, Any] = plain(made)
    path = layout.removals / f"{made.documents[0].date}-{made.documents[0].id[:16]}.json"
    check(raw, "removal", path)
    files.write_json(path, raw)
    write_removed(layout.recipe_folder / REMOVED, book.removed.with_more(made.documents))
    return path


def _require_here(layout: Layout, identity: str) -> None:
    """Raises: StateError: nothing is built that would know; DataError: none of it holds the document."""
    if not any(layout.stage(stage).data.is_dir() for stage in ("raw", "shards")):
        raise StateError(
            "nothing is here to look the document up in",
            where=layout.artifacts.relative_to(layout.root),
            cure="Fetch it with: dvc pull raw, or build it with: dvc repro raw",
        )
    if _holds(layout, identity):
        return
    for name in recipe_names(layout.root):
        other = Layout(root=layout.root, recipe=name)
        listed = other.recipe_folder / REMOVED
        known = listed.is_file() and load_removed(listed).find(identity) is not None
        if name != layout.recipe and (known or _holds(other, identity)):
            raise DataError(
                f"document {identity[:12]} is one of the recipe {name}",
                where=layout.recipe,
                cure=f"Choose it first: yulan use {name}",
            )
    raise DataError(
        f"no stage holds the document {identity[:12]}",
        where=layout.recipe,
        cure="Give its id, the digest of its raw text: yulan data seen TEXT prints it",
    )


def _holds(layout: Layout, identity: str) -> bool:
    return any(holdings(layout.stage(stage).data, {identity}) for stage in ("raw", "synthesize", "shards"))


def _trained(layout: Layout, recipe: Recipe, ids: Collection[str]) -> tuple[Trained, ...] | None:
    folder = layout.stage("index").data
    if not (folder / HEADER).is_file():
        return None
    index = Index(folder)
    steps: dict[tuple[str, str], set[int]] = {}
    for each in sorted(ids):
        leaf = index.find(each)
        for copy in leaf.content["copies"] if leaf is not None else ():
            for at in copy["seen"]:
                steps.setdefault((each, at["phase"]), set()).add(at["step"])
    order = list(recipe.phases)
    keys = sorted(steps, key=lambda key: (order.index(key[1]), key[0]))
    return tuple(Trained(document=each, phase=phase, steps=tuple(sorted(steps[each, phase]))) for each, phase in keys)


def _held(layout: Layout, book: Book, ids: Collection[str]) -> Iterator[Held]:
    # Packages are read through readers, which is slow: only those of the sources in which `raw` holds one.
    sources = {file.file.rpartition("/")[0] for file in holdings(layout.stage("raw").data, ids)}
    packages = {name: source for name, source in book.sources.sources.items() if name in sources}
    for name, place in {stage: layout.stage(stage) for stage in (UPSTREAM, *STAGES, "bundle")}.items():
        folder = place.data / BUNDLE if name == "bundle" else place.data
        found = upstream(folder, packages, ids) if name == UPSTREAM else holdings(folder, ids)
        if not found:
            continue
        prefix = f"{BUNDLE}/" if name == "bundle" else ""
        _, objects = cached(layout.root / "dvc.lock", layout.root / ".dvc" / "cache", _relative(layout, place.data))
        told: Mapping[str, str] = {}
        if place.manifest.is_file():
            told = {file.path: file.sha256 for file in manifest.read(place.manifest).files}
        for each in found:
            file = prefix + each.file
            yield Held(artifact=name, file=file, kind=each.kind, sha256=told.get(file, ""), cached=objects.get(file))


def _relative(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _published(layout: Layout, held: Collection[Held]) -> Iterator[Copied]:
    """Every revision of the data repository that was published; of the one that is here also the files."""
    here = layout.stage("bundle").data / BUNDLE / MANIFEST
    digest = manifest.read(here).digest if here.is_file() else None
    text = [each for each in held if each.artifact == "bundle" and each.kind == "text"]
    gone = tuple(Gone(file=each.file.removeprefix(f"{BUNDLE}/"), sha256=each.sha256) for each in text)
    for record in chain(layout.artifacts / "publications"):
        for repo in record.repos:
            for name, branch in repo.revisions.items():
                if repo.kind == "dataset" and name == MAIN:
                    found = gone if branch.digest == digest else None
                    yield Copied(hub=record.hub, repo=repo.id, commit=branch.commit, digest=branch.digest, files=found)

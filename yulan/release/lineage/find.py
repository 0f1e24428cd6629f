"""What a word on the command line means: a file, a folder, an artifact, a revision, a run, a commit or a digest."""

import re
from pathlib import Path

from yulan import digest, manifest
from yulan.errors import StateError
from yulan.layout import DATA, MANIFEST, Layout
from yulan.release.lineage.graph import Graph, Node
from yulan.release.names import MAIN, parse
from yulan.release.publication import Publication, chain
from yulan.schema import suggest

_HEX = re.compile(r"[0-9a-f]{7,64}")


def find(graph: Graph, layout: Layout, word: str) -> list[Node]:
    """The nodes that a word names; several where a digest is of several things.

    Raises: StateError: nothing here has that name.
    """
    if word.startswith("hf://"):
        return [graph.nodes[key] for key in _published(graph, layout, word)]
    if Path(word).exists():
        return _at(graph, layout, Path(word))
    exact = [node for node in graph.nodes.values() if node.name == word or node.key == word]
    if exact or (_HEX.fullmatch(word) and (exact := graph.by_digest(word))):
        return exact
    if _HEX.fullmatch(word) and len(word) == 64 and (holder := _holder(graph, layout, word)):
        return holder
    names = sorted({node.name for node in graph.nodes.values()})
    raise StateError(f"nothing here is called {word!r}", where=f"artifacts/{layout.recipe}", cure=suggest(word, names))


def _published(graph: Graph, layout: Layout, word: str) -> list[str]:
    """Keys of a revision on a hub, by what the publication records say."""
    address = parse(word)
    records = chain(layout.artifacts / "publications")
    for number, record in reversed(list(enumerate(records, 1))):
        told = _digest(record, address.repo.id, address.revision)
        if told is not None:
            found = [node.key for node in graph.by_digest(told) if node.kind == "revision"]
            return found or [f"publication:{number:04d} on {record.hub}"]
    cure = "Publish it from here, or give the folder that yulan pull makes of it"
    raise StateError("no publication record of this clone names it", where=word, cure=cure)


def _digest(record: Publication, repo: str, revision: str) -> str | None:
    """Content digest of a branch, a tag or a commit of a repository."""
    for published in record.repos:
        if published.id != repo:
            continue
        commit = published.tags.get(revision, revision)
        for name, branch in published.revisions.items():
            if name == revision or branch.commit == commit:
                return branch.digest
        return published.revisions[MAIN].digest if revision == MAIN else None
    return None


def _at(graph: Graph, layout: Layout, path: Path) -> list[Node]:
    """What lies at a path: an artifact or a part of it, a mix, or a folder with a manifest from anywhere.

    Raises: StateError: nobody says where it is from.
    """
    full = path.resolve()
    for folder in (full, *full.parents):
        if (folder / MANIFEST).is_file():
            content = manifest.read(folder / MANIFEST).digest
            if found := [node for node in graph.by_digest(content) if node.kind != "publication"]:
                return found
    if full.is_file() and (holder := _holder(graph, layout, digest.of_file(full))):
        return holder
    cure = "Its bytes are in no manifest of this clone; ask who gave it to you, or: yulan verify"
    raise StateError("has no provenance here", where=path, cure=cure)


def _holder(graph: Graph, layout: Layout, sha256: str) -> list[Node]:
    """Artifacts, checkpoints and revisions that list a file of these bytes; mixes and packages that are it."""
    found = [node for node in graph.nodes.values() if node.digest == sha256]
    homes = {f"artifact:{name}": place for name, place in _homes(graph, layout).items()}
    for key, home in homes.items():
        if any(file.sha256 == sha256 for file in manifest.read(home).files):
            found.append(graph.nodes[key])
    return found


def _homes(graph: Graph, layout: Layout) -> dict[str, Path]:
    names = [node.name for node in graph.nodes.values() if node.kind == "artifact"]
    places = {name: layout.artifacts.joinpath(*name.split("@")) / MANIFEST for name in names}
    return {name: path for name, path in places.items() if path.is_file() and path.parent.name != DATA}

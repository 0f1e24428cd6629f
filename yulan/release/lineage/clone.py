"""The graph of a clone: packages, mixes, artifacts, checkpoints, revisions, publications, commits, runs, dvc.lock."""

from pathlib import Path

from yulan import digest, manifest
from yulan.errors import IntegrityError, YulanError
from yulan.layout import DATA, MANIFEST, Layout
from yulan.manifest import Manifest, Record
from yulan.recipe.sources import load_sources
from yulan.release import publication
from yulan.release.lineage.graph import Graph
from yulan.release.names import PARTS
from yulan.schema import load_yaml, read_json

OUTSIDE = frozenset({"records", "publications"})
LEFT = frozenset({MANIFEST, DATA, ".gitignore"})
"""What a folder of an artifact holds."""


def of_clone(layout: Layout) -> Graph:
    """Everything that the recipe in use has here. What is broken or unexplained is in the graph, not raised."""
    graph = Graph()
    made = _manifests(layout, graph)
    for target, content in made.items():
        graph.add("artifact", target, content.digest)
    for target, content in made.items():
        _origins(graph, layout, target, content, made)
    _lock(graph, layout, made)
    for target in made:
        if target.startswith("train@"):
            _checkpoints(graph, layout, target)
    if "bundle" in made:
        _revisions(graph, layout)
    _publications(graph, layout)
    return graph


def _manifests(layout: Layout, graph: Graph) -> dict[str, Manifest]:
    """By target (`train@phase-01`); folders without a manifest are unexplained."""
    made = {}
    for path in sorted(layout.artifacts.rglob(MANIFEST)):
        parts = path.relative_to(layout.artifacts).parts[:-1]
        if DATA not in parts and parts[0] not in OUTSIDE:
            try:
                made["@".join(parts)] = manifest.read(path)
            except YulanError as error:
                graph.unexplained.append(f"{'@'.join(parts)}: {error.what}")
    homes = {layout.artifacts / Path(*target.split("@")) for target in made}
    within = {folder for home in homes for folder in (home, *home.parents)}
    for folder in sorted(layout.artifacts.rglob("*")):
        parts = folder.relative_to(layout.artifacts).parts
        if parts[0] in OUTSIDE or DATA in parts[:-1] or folder in within:
            continue
        if folder.parent in homes and folder.name not in LEFT:
            graph.unexplained.append(f"{'/'.join(parts)} is in no manifest")
        elif folder.parent not in homes and folder.parent in within and folder.name not in LEFT:
            graph.unexplained.append(f"{'/'.join(parts)} has no manifest.json")
    return made


def _origins(graph: Graph, layout: Layout, target: str, content: Manifest, made: dict[str, Manifest]) -> None:
    origins = []
    for name, told in content.inputs.items():
        if name not in made:
            graph.broken.append(f"{target} was made from {name} {told[:12]}, which is not here")
        elif made[name].digest != told:
            graph.broken.append(f"{target} was made from {name} {told[:12]}; here it is {made[name].digest[:12]}")
        else:
            origins.append(f"artifact:{name}")
    stage, _, phase = target.partition("@")
    if stage == "sources":
        path = layout.recipe_folder / "sources.yaml"
        origins += [graph.add("package", f"{p.file}", p.sha256) for p in load_sources(path).packages.values()]
    if stage == "mix":
        named = content.keys.get(f"phases.{phase}") or {}
        path = layout.recipe_folder / "mixes" / f"{named.get('mix', phase) if isinstance(named, dict) else phase}.yaml"
        if path.is_file():
            origins.append(graph.add("mix", path.stem, digest.of_file(path)))
    origins += _record(graph, layout, target, content)
    graph.add("artifact", target, content.digest, tuple(origins))


def _record(graph: Graph, layout: Layout, target: str, content: Manifest) -> list[str]:
    path = layout.record(content.digest)
    if not path.is_file():
        graph.unexplained.append(
            f"{target} {content.digest[:12]} has no record: who made it, when and at which commit is unknown"
        )
        return []
    record = read_json(path, "record", Record)
    found = [graph.add("run", run, run) for run in record.runs.values()]
    if record.commit is None:
        graph.unexplained.append(f"{target} {content.digest[:12]} was made outside git")
    else:
        found.append(graph.add("commit", record.commit, record.commit))
    return found


def _lock(graph: Graph, layout: Layout, made: dict[str, Manifest]) -> None:
    """dvc.lock explains an artifact if it names this very manifest."""
    lock = layout.root / "dvc.lock"
    if not lock.is_file():
        graph.unexplained.append("dvc.lock is not there")
        return
    key = graph.add("lock", "dvc.lock", digest.of_file(lock))
    stages = (load_yaml(lock) or {}).get("stages", {})
    told = {out["path"]: out.get("md5") for stage in stages.values() for out in stage.get("outs", []) if isinstance(out, dict)}
    for name, stage in stages.items():
        for dep in stage.get("deps", []):
            path, told_md5 = layout.root / dep["path"], dep.get("md5")
            # Code may change without a stage being built again by people who know why; what was asked for may not.
            if dep["path"].startswith("recipes/") and path.is_file() and told_md5 != digest.md5_of_file(path):
                graph.broken.append(f"dvc.lock made {name} from another {dep['path']}")
    for target, content in made.items():
        home = layout.artifacts.joinpath(*target.split("@")) / MANIFEST
        name = home.relative_to(layout.root).as_posix()
        if name not in told:
            graph.unexplained.append(f"{target} is not in dvc.lock")
        elif told[name] != digest.md5_of_file(home):
            graph.broken.append(f"dvc.lock names another {target} than {content.digest[:12]}")
        else:
            graph.add("artifact", target, content.digest, (key,))


def _checkpoints(graph: Graph, layout: Layout, target: str) -> None:
    folder = layout.artifacts.joinpath(*target.split("@")) / DATA / "checkpoints"
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        graph.add(
            "checkpoint", f"{target.partition('@')[2]}/{path.parent.name}", manifest.read(path).digest, (f"artifact:{target}",)
        )


def _revisions(graph: Graph, layout: Layout) -> None:
    bundle = layout.stage("bundle").data
    for part in PARTS:
        for path in sorted((bundle / part).glob(f"*/{MANIFEST}")):
            content = manifest.read(path)
            name = f"{part}/{path.parent.name}"
            origins = ["artifact:bundle"]
            for origin, told in content.inputs.items():
                kind = "revision" if origin.split("/")[0] in PARTS else "artifact"
                known = graph.nodes.get(f"{kind}:{origin}")
                if known is not None and known.digest != told:
                    graph.broken.append(f"{name} pins {origin} {told[:12]}; here it is {known.digest[:12]}")
                else:
                    origins.append(f"{kind}:{origin}")
            graph.add("revision", name, content.digest, tuple(origins))


def _publications(graph: Graph, layout: Layout) -> None:
    folder = layout.artifacts / "publications"
    try:
        records = publication.chain(folder)
    except (IntegrityError, YulanError) as error:
        graph.broken.append(f"publications: {error.where}: {error.what}")
        return
    for number, record in enumerate(records, 1):
        origins = [node.key for node in graph.by_digest(record.bundle) if node.key == "artifact:bundle"]
        for repo in record.repos:
            part = next((part for part in ("data", "states") if repo.id.endswith(f"-{part}")), "model")
            for name, branch in repo.revisions.items():
                key = f"revision:{part}/{name}"
                if key in graph.nodes and graph.nodes[key].digest == branch.digest:
                    origins.append(key)
        if not origins:
            graph.unexplained.append(f"publication {number:04d} is of a bundle that is no longer here ({record.bundle[:12]})")
        origins.append(graph.add("commit", record.commit, record.commit))
        graph.add("publication", f"{number:04d} on {record.hub}", record.bundle, tuple(origins))

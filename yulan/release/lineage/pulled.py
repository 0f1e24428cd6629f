"""The graph of a folder that was pulled: what its own lists pin, and every stage's manifest that the states carry."""

from pathlib import Path

from yulan import manifest
from yulan.layout import MANIFEST
from yulan.release.lineage.graph import Graph, Kind
from yulan.release.names import PARTS

LINEAGE = "lineage"


def of_pulled(folder: Path) -> tuple[Graph, str]:
    """Returns the graph and the key of the folder itself.

    Raises: DataError: it has no manifest.json.
    """
    graph = Graph()
    made = {}
    for path in sorted((folder / LINEAGE).rglob("*.json")):
        made["@".join(path.relative_to(folder / LINEAGE).with_suffix("").parts)] = manifest.read(path)
    for target, content in made.items():
        graph.add("artifact", target, content.digest)
    for target, content in made.items():
        origins = []
        for name, told in content.inputs.items():
            if name not in made:
                graph.broken.append(f"{target} was made from {name} {told[:12]}, whose manifest is not in the folder")
            elif made[name].digest != told:
                graph.broken.append(f"{target} was made from {name} {told[:12]}; the folder has {made[name].digest[:12]}")
            else:
                origins.append(f"artifact:{name}")
        graph.add("artifact", target, content.digest, tuple(origins))
    own = manifest.read(folder / MANIFEST)
    origins = []
    for name, told in own.inputs.items():
        kind: Kind = "revision" if name.split("/")[0] in PARTS else "artifact"
        if kind == "artifact" and name not in made:
            graph.unexplained.append(
                f"{name} {told[:12]} is pinned; its manifest is on main of the states repository, in lineage/"
            )
        origins.append(graph.add(kind, name, told))
    return graph, graph.add("revision", own.name, own.digest, tuple(origins))

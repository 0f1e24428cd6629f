"""Things and what each was made from: a graph by digest, with the links that do not hold."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["package", "mix", "artifact", "checkpoint", "revision", "publication", "commit", "run", "lock"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    kind: Kind
    name: str
    """`train@phase-01`, `states/main`, `0001.json`; unique within its kind."""
    digest: str
    """sha256 of a file, content digest of a folder, git's id of a commit, MLflow's of a run."""
    origins: tuple[str, ...]
    """Keys of what it was made from."""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(kw_only=True, slots=True)
class Graph:
    nodes: dict[str, Node] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """Links that do not hold, one sentence each."""
    unexplained: list[str] = field(default_factory=list)
    """What has no provenance, one sentence each."""

    def add(self, kind: Kind, name: str, digest: str, origins: tuple[str, ...] = ()) -> str:
        """Returns the node's key; one that is there gets the further origins."""
        node = Node(kind=kind, name=name, digest=digest, origins=origins)
        if (known := self.nodes.get(node.key)) is not None:
            if known.digest != digest:
                self.broken.append(f"{node.key} is {known.digest[:12]} here and {digest[:12]} there")
            node = Node(kind=kind, name=name, digest=known.digest, origins=tuple(dict.fromkeys((*known.origins, *origins))))
        self.nodes[node.key] = node
        return node.key

    def by_digest(self, digest: str) -> list[Node]:
        """Nodes with that digest, or whose digest begins with it."""
        return [node for node in self.nodes.values() if node.digest.startswith(digest)]

    def uses(self) -> Mapping[str, list[str]]:
        """Key -> keys of what was made from it."""
        found: dict[str, list[str]] = {key: [] for key in self.nodes}
        for key, node in self.nodes.items():
            for origin in node.origins:
                if origin in found:
                    found[origin].append(key)
        return found

    def walk(self, start: str, *, down: bool) -> "Iterator[tuple[int, Node, bool]]":
        """(depth, node, whether it was shown before), origins or uses first to last; the start is not shown."""
        uses = self.uses()
        seen: set[str] = set()

        def visit(key: str, depth: int) -> "Iterator[tuple[int, Node, bool]]":
            for other in sorted(uses[key] if down else self.nodes[key].origins):
                if other not in self.nodes:
                    continue
                again = other in seen
                yield depth, self.nodes[other], again
                if not again:
                    seen.add(other)
                    yield from visit(other, depth + 1)

        yield from visit(start, 0)

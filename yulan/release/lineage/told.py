"""A lineage for people and for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yulan.release.lineage.graph import Graph, Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    format: int
    asked: str
    """The word on the command line."""
    found: tuple[Node, ...]
    """What it means."""
    origins: tuple[Node, ...]
    """All that it was made from."""
    uses: tuple[Node, ...]
    """All that was made from it."""
    broken: tuple[str, ...]
    unexplained: tuple[str, ...]


ASIDE = frozenset({"commit", "lock", "run"})
"""Shown on the line of what they made."""


def as_tree(graph: Graph, nodes: Sequence[Node]) -> Iterator[str]:
    """Each node with what it was made from and what was made from it; then broken links and what has no provenance."""
    for node in nodes:
        yield _line(node) + _aside(graph, node)
        for title, down in (("made from", False), ("used by", True)):
            rows = [row for row in graph.walk(node.key, down=down) if row[1].kind not in ASIDE]
            if rows:
                yield f"  {title}"
            yield from (
                f"    {'  ' * depth}{_line(other)}{' (above)' if again else _aside(graph, other)}" for depth, other, again in rows
            )
    yield from (f"broken: {row}" for row in graph.broken)
    yield from (f"no provenance: {row}" for row in graph.unexplained)


def _line(node: Node) -> str:
    return f"{node.kind} {node.name}" + ("" if node.name == node.digest else f"  {node.digest[:12]}")


def _aside(graph: Graph, node: Node) -> str:
    """`  (commit 2516e3d8201d, run 0733fa587ee4)`: who made it, on its own line."""
    about = [graph.nodes[key] for key in node.origins if key in graph.nodes and graph.nodes[key].kind in ASIDE]
    told = ", ".join(f"{other.kind} {other.digest[:12]}" for other in about)
    return f"  ({told})" if told else ""


def as_object(graph: Graph, asked: str, nodes: Sequence[Node]) -> Lineage:
    """The same for programs."""
    return Lineage(
        format=1,
        asked=asked,
        found=tuple(nodes),
        origins=_all(graph, nodes, down=False),
        uses=_all(graph, nodes, down=True),
        broken=tuple(graph.broken),
        unexplained=tuple(graph.unexplained),
    )


def _all(graph: Graph, nodes: Sequence[Node], *, down: bool) -> tuple[Node, ...]:
    found = {other.key: other for node in nodes for _, other, _ in graph.walk(node.key, down=down)}
    return tuple(found[key] for key in sorted(found))

"""Which artifact was made from which: a graph of manifests, drawn as `git log --graph` draws commits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from yulan.errors import IntegrityError
from yulan.manifest import Manifest
from yulan.report.drawing import Drawing
from yulan.report.facts import in_words
from yulan.report.ink import SERIES, Ink

ROW, LANE, LEFT = 26, 18, 16
MONO = "ui-monospace, 'Noto Sans Mono', 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    name: str
    row: int
    lane: int
    inputs: tuple[str, ...]
    """Those that no other input was made from."""


def trace(read: Callable[[str], Manifest], last: str) -> dict[str, Manifest]:
    """Manifests of `last` and of all it was made from, by name, earliest first.

    Raises: IntegrityError: one is not what a later one names as its input.
    """
    found: dict[str, Manifest] = {}

    def visit(name: str) -> Manifest:
        made = read(name)
        for origin, told in made.inputs.items():
            if (found[origin] if origin in found else visit(origin)).digest != told:
                raise IntegrityError(
                    f"{name} was made from another {origin}", where="lineage", cure="Build it again with: dvc repro"
                )
        found[name] = made
        return made

    visit(last)
    return found


def place(artifacts: Mapping[str, Manifest]) -> list[Place]:
    """A row for each artifact, after those it was made from; its lane stays its own until its last use.

    `artifacts`: by name (`train@phase-01`), in the order that rows keep where the graph leaves it open.
    """
    inputs = {name: [i for i in made.inputs if i in artifacts] for name, made in artifacts.items()}
    order = _ordered(inputs)
    origins: dict[str, set[str]] = {}
    direct: dict[str, tuple[str, ...]] = {}
    for name in order:
        origins[name] = {origin for i in inputs[name] for origin in (i, *origins[i])}
        direct[name] = tuple(i for i in inputs[name] if not any(i in origins[other] for other in inputs[name]))
    uses = {name: sum(name in direct[user] for user in order) for name in order}
    lanes: list[str | None] = []
    places: dict[str, Place] = {}
    for row, name in enumerate(order):
        for i in direct[name]:
            uses[i] -= 1
            if not uses[i]:
                lanes[places[i].lane] = None
        lane = next((places[i].lane for i in direct[name] if not uses[i]), None)
        if lane is None:
            lane = lanes.index(None) if None in lanes else len(lanes)
        lanes += [None] * (lane + 1 - len(lanes))
        lanes[lane] = name if uses[name] else None
        places[name] = Place(name=name, row=row, lane=lane, inputs=direct[name])
    return list(places.values())


def _ordered(inputs: Mapping[str, Sequence[str]]) -> list[str]:
    """Topological; the given order decides between those that are ready."""
    order: list[str] = []
    waiting = list(inputs)
    while waiting:
        ready = next((name for name in waiting if all(i in order for i in inputs[name])), waiting[0])
        waiting.remove(ready)
        order.append(ready)
    return order


def draw(artifacts: Mapping[str, Manifest], ink: Ink) -> str:
    """SVG: a dot, its name, digest and size for each artifact; a line from each direct input."""
    places = {p.name: p for p in place(artifacts)}
    words = LEFT + LANE * (max((p.lane for p in places.values()), default=0) + 1)
    stages = list(dict.fromkeys(name.partition("@")[0] for name in places))
    colour = {stage: SERIES[i % len(SERIES)] for i, stage in enumerate(stages)}
    digests = words + 8.2 * max(map(len, places), default=0) + 12
    sizes = digests + 165
    picture = Drawing(sizes + 6, ROW * len(places) + 12, ink, "Lineage: what each artifact was made from")

    def at(p: Place) -> tuple[float, float]:
        return LEFT + LANE * p.lane, 18 + ROW * p.row

    for p in places.values():
        for i in p.inputs:
            picture.thread(*at(places[i]), *at(p), ROW, colour[i.partition("@")[0]])
    for p in places.values():
        x, y = at(p)
        picture.dot(x, y, 5, colour[p.name.partition("@")[0]])
        picture.text(words, y + 4, p.name, size=12.5, weight=600)
        picture.text(digests, y + 4, artifacts[p.name].digest[:12], fill=ink.muted, size=12, family=MONO)
        picture.text(sizes, y + 4, in_words(artifacts[p.name].size, "B"), fill=ink.muted, size=12, anchor="end")
    return picture.svg()

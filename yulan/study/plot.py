"""Small charts as SVG, drawn by hand so that a page needs no script and equal numbers give equal bytes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from yulan.report.drawing import Drawing
from yulan.report.ink import FILE

LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 44


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    title: str
    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False
    labels: tuple[str, ...] = ()
    """Words for the ticks, in their order; without them the numbers."""

    def place(self, value: float) -> float:
        """Where a value lies between both ends, from 0 to 1; beyond them it is held at the end."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, max(value, self.low)))
        return min(1.0, max(0.0, (at - low) / (high - low)))


class Plot:
    """One chart; every method adds a layer."""

    def __init__(self, title: str, x: Axis, y: Axis, width: int = 760, height: int = 300) -> None:
        self.x, self.y, self.drawing = x, y, Drawing(width, height, FILE, title)
        self.across, self.down = width - LEFT - RIGHT, height - TOP - BOTTOM
        self.legend = float(LEFT)
        for tick in y.ticks:
            _, at = self._at(x.low, tick)
            self._path([(LEFT, at), (width - RIGHT, at)], FILE.line, 1)
            self.drawing.text(LEFT - 8, at + 4, f"{tick:g}", fill=FILE.muted, size=11, anchor="end")
        for tick, words in zip(x.ticks, x.labels or [f"{tick:g}" for tick in x.ticks], strict=True):
            at, _ = self._at(tick, y.low)
            self.drawing.text(at, height - BOTTOM + 17, words, fill=FILE.muted, size=11, anchor="middle")
        self.drawing.text(LEFT + self.across / 2, height - 8, x.title, fill=FILE.muted, anchor="middle")
        self.drawing.text(8, 30, y.title, fill=FILE.muted)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return LEFT + self.across * self.x.place(x), TOP + self.down * (1 - self.y.place(y))

    def _path(self, points: Sequence[tuple[float, float]], stroke: str, width: float, opacity: float = 1.0) -> None:
        way = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        look = f'fill="none" stroke="{stroke}" stroke-width="{width:g}" stroke-opacity="{opacity:g}"'
        self.drawing.shapes.append(f'<path d="{way}" {look}/>')

    def line(self, points: Sequence[tuple[float, float]], colour: str, *, width: float = 2.0, opacity: float = 1.0) -> None:
        self._path([self._at(x, y) for x, y in points], colour, width, opacity)

    def point(self, x: float, y: float, low: float, high: float, colour: str, *, shift: float = 0.0, words: str = "") -> None:
        """A dot with its interval; `shift` in pixels keeps neighbours apart."""
        (across, at), (_, top), (_, foot) = self._at(x, y), self._at(x, high), self._at(x, low)
        across += shift
        self._path([(across, foot), (across, top)], colour, 1.6)
        self.drawing.dot(across, at, 4, colour)
        if words:
            self.drawing.shapes[-1] = self.drawing.shapes[-1].replace("/>", f"><title>{escape(words)}</title></circle>")

    def name(self, words: str, colour: str) -> None:
        """One entry of the legend, on the line of the title."""
        self.drawing.dot(self.legend + 5, 11, 5, colour)
        self.drawing.text(self.legend + 15, 15, words)
        self.legend += 30 + 7.2 * len(words)

    def svg(self) -> str:
        return self.drawing.svg()

"""A few SVG shapes, for the two pictures that no chart grammar draws: the data flow and the lineage."""

from html import escape

from yulan.report.ink import FONT, Ink


class Drawing:
    """Collects shapes; coordinates in pixels, y downwards. Equal calls give equal bytes."""

    def __init__(self, width: float, height: float, ink: Ink, title: str) -> None:
        self.width, self.height, self.ink, self.title = width, height, ink, title
        self.shapes: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, fill: str, *, stroke: str = "none", radius: float = 0) -> None:
        size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self.shapes.append(f'<rect {size} rx="{radius:g}" fill="{fill}" stroke="{stroke}"/>')

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        fill: str = "",
        size: float = 12,
        weight: int = 400,
        anchor: str = "start",
        family: str = "",
    ) -> None:
        look = f'fill="{fill or self.ink.text}" font-size="{size:g}" font-weight="{weight}" text-anchor="{anchor}"'
        look += f' font-family="{family}"' if family else ""
        self.shapes.append(f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(words)}</text>')

    def band(
        self, x0: float, top0: float, x1: float, top1: float, thick0: float, thick1: float, fill: str, opacity: float
    ) -> None:
        """A ribbon between two columns: it leaves and arrives level."""
        middle, low0, low1 = (x0 + x1) / 2, top0 + thick0, top1 + thick1
        path = f"M{x0:.1f} {top0:.1f}C{middle:.1f} {top0:.1f} {middle:.1f} {top1:.1f} {x1:.1f} {top1:.1f}"
        path += f"V{low1:.1f}C{middle:.1f} {low1:.1f} {middle:.1f} {low0:.1f} {x0:.1f} {low0:.1f}Z"
        self.shapes.append(f'<path d="{path}" fill="{fill}" fill-opacity="{opacity:g}"/>')

    def thread(self, x0: float, y0: float, x1: float, y1: float, bend: float, stroke: str) -> None:
        """A line down from a dot that changes its lane in the last `bend` pixels."""
        turn = y1 - bend
        path = f"M{x0:.1f} {y0:.1f}V{turn:.1f}C{x0:.1f} {y1 - bend / 3:.1f} {x1:.1f} {turn + bend / 3:.1f} {x1:.1f} {y1:.1f}"
        self.shapes.append(f'<path d="{path}" fill="none" stroke="{stroke}" stroke-width="1.8"/>')

    def dot(self, x: float, y: float, radius: float, fill: str) -> None:
        self.shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{fill}"/>')

    def svg(self) -> str:
        ground = f'<rect width="100%" height="100%" fill="{self.ink.paper}"/>'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" height="{self.height:g}" '
            f'viewBox="0 0 {self.width:g} {self.height:g}" font-family="{FONT}" role="img"><title>{escape(self.title)}</title>'
        )
        return "\n".join([head, ground, *self.shapes, "</svg>"]) + "\n"

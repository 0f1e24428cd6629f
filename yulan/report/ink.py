"""Colours and letters of every picture: literal for files, CSS variables for the page, which has a light and a dark side."""

from collections.abc import Sequence
from dataclasses import dataclass

# The first one ships inside vl-convert: the same picture, byte for byte, whatever fonts a machine has.
FONT = "'Liberation Sans', Arial, 'Noto Sans CJK SC', 'Noto Sans SC', sans-serif"

# Of middle lightness, so that they carry on white and on near-black; neighbours differ in lightness too.
SERIES = ("#3b82c4", "#e08a2c", "#3f9d6b", "#c2557a", "#8d74c9", "#b39a1f", "#2fa3ad", "#a3674a", "#7b8794", "#7aa33a")


# Twelve lines in one picture: a model's groups of weights.
GROUPS = (*SERIES, "#4f5bd5", "#d64f3f")
REFUSED = "#d64545"
RAMP = ((0x2F, 0x6F, 0xB5), (0x9A, 0x6F, 0xB0), (0xE0, 0x8A, 0x2C))
"""From cool to warm, by way of violet: an order that both grounds and most colour-blind eyes keep."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ink:
    paper: str
    text: str
    muted: str
    """Second-rank text and arrows."""
    line: str
    """Axes, grids and frames."""
    fill: str
    """Ground of a box."""
    bad: str
    """What was dropped."""


FILE = Ink(paper="#ffffff", text="#1d232b", muted="#5d6875", line="#d5dae0", fill="#f4f6f8", bad="#9aa3ad")
"""A file has a ground of its own: a README may show it on white or on black."""

PAGE = Ink(paper="none", text="var(--text)", muted="var(--muted)", line="var(--line)", fill="var(--fill)", bad="var(--bad)")


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, the same in every picture; after ten they come again."""
    return {name: SERIES[i % len(SERIES)] for i, name in enumerate(names)}


def ramp(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name in their order, from cool to warm."""
    found = {}
    for index, name in enumerate(names):
        at = index / max(1, len(names) - 1) * (len(RAMP) - 1)
        low = min(int(at), len(RAMP) - 2)
        mixed = [round(a + (b - a) * (at - low)) for a, b in zip(RAMP[low], RAMP[low + 1], strict=True)]
        found[name] = "#" + "".join(f"{each:02x}" for each in mixed)
    return found

"""The pictures as files: SVG for documents, PNG where SVG is not shown, tables beside them."""

import os
from pathlib import Path

import vl_convert

from yulan import files
from yulan.recipe import Recipe
from yulan.report import charts, flow
from yulan.report.facts import Facts, write_facts
from yulan.report.ink import FILE
from yulan.report.inside import SEEN

PICTURES = ("mixes", "flow", "loss", "learning-rate", "gradient-norm", "bits-per-byte", *SEEN)
SCALE = 2.0
"""Pixels of a PNG for one of the SVG."""

# Another machine's fonts would give other bytes, and the release another identity. Read at a process's first picture.
os.environ["FONTCONFIG_FILE"] = str(Path(__file__).with_name("fonts.conf"))


def draw_figures(facts: Facts, recipe: Recipe, folder: Path) -> None:
    """Write `<picture>.svg`, `<picture>.png` and `<table>.csv` into `folder`; equal facts give equal bytes."""
    write_facts(folder, facts)
    for name in PICTURES:
        svg = flow.draw(facts, FILE) if name == "flow" else chart_svg(name, facts, recipe)
        files.write_text(folder / f"{name}.svg", svg)
        files.write_bytes(folder / f"{name}.png", vl_convert.svg_to_png(svg, scale=SCALE))


def chart_svg(name: str, facts: Facts, recipe: Recipe) -> str:
    """One of the charts as SVG."""
    svg: str = vl_convert.vegalite_to_svg(charts.finished(charts.chart(name, facts, recipe), FILE), allowed_base_urls=[])
    return svg

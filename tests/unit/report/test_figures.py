import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from yulan.recipe import Book
from yulan.report.facts import TABLES, Facts
from yulan.report.figures import PICTURES, chart_svg, draw_figures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, book: Book, facts: Facts) -> Path:
    into = tmp_path_factory.mktemp("figures")
    draw_figures(facts, book.recipe, into)
    return into


def test_every_picture_is_there_as_svg_and_png_with_the_tables(folder: Path):
    assert {p.name for p in folder.iterdir()} == {*TABLES, *(f"{name}.{kind}" for name in PICTURES for kind in ("svg", "png"))}


def test_pictures_open_and_name_nothing_outside_themselves(folder: Path):
    for path in folder.glob("*.svg"):
        text = path.read_text()
        ElementTree.fromstring(text)
        assert "http" not in text.replace("http://www.w3.org/", "")
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for path in folder.glob("*.png"))


def test_equal_facts_give_equal_pictures(folder: Path, book: Book, facts: Facts):
    for name in ("mixes", "loss"):
        assert chart_svg(name, facts, book.recipe) == (folder / f"{name}.svg").read_text()


def test_no_font_of_the_machine_changes_a_picture(tmp_path: Path):
    """One that is installed (matplotlib's DejaVu) looks like one that is not; without our setting it does not."""
    package = importlib.util.find_spec("matplotlib")
    fonts = Path(str(package and package.origin)).parent / "mpl-data" / "fonts" / "ttf"
    assert list(fonts.glob("DejaVu*"))
    (tmp_path / "fonts.conf").write_text(f"<fontconfig><dir>{fonts}</dir></fontconfig>")
    draw = """
import sys
if sys.argv[1] == "ours": import yulan.report.figures
import vl_convert
svg = '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"><text y="20" font-family="{}, Arial">mix</text></svg>'
print(vl_convert.svg_to_png(svg.format("DejaVu Sans")) == vl_convert.svg_to_png(svg.format("No Such Font")))
"""
    env = os.environ | {"FONTCONFIG_FILE": str(tmp_path / "fonts.conf")}
    said = [
        subprocess.run([sys.executable, "-c", draw, who], env=env, capture_output=True, text=True, check=True).stdout.strip()
        for who in ("ours", "theirs")
    ]
    assert said == ["True", "False"]

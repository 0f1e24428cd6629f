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

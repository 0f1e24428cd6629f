"""Shares of a curriculum, as they are printed, written and drawn."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from yulan.cli import main
from yulan.layout import find_root
from yulan.recipe import load_recipe
from yulan.report.curriculum import KINDS, area_svg, shares

ROOT = find_root(Path(__file__).parent)


@pytest.mark.parametrize("kind", KINDS)
def test_shares_of_each_phase_sum_to_all_its_tokens(kind):
    book = load_recipe(ROOT, "nano-27")
    found = shares(book, kind, "phase-27")
    assert found.phases == book.recipe.path("phase-27")
    assert [sum(tokens) for tokens in found.tokens] == [157_696] * 27
    whole = [sum(tokens[j] for tokens in found.tokens) for j in range(len(found.names))]
    assert whole == sorted(whole, reverse=True)


def test_the_command_prints_tables_and_writes_pictures(tmp_path: Path):
    done = CliRunner().invoke(main, ["plan", "yulan-mini", "--data", "--into", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    (first,) = (line for line in done.stdout.splitlines() if line.startswith("phase-01") and "44.8%" in line)
    assert first.split()[1:4] == ["44.8%", "20.2%", "10.0%"]
    with (tmp_path / "data-family.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head[:3] == ["phase", "web", "code"]
    assert len(rows) == 27
    for kind in KINDS:
        svg = (tmp_path / f"data-{kind}.svg").read_text()
        assert svg.startswith("<svg")
        assert "phase-27" in svg


def test_a_picture_draws_every_large_share_and_the_rest():
    book = load_recipe(ROOT, "yulan-mini")
    found = shares(book, "family", "phase-27")
    svg = area_svg(found)
    assert len(found.names) == 13
    # Instructions are little of the whole, and a tenth of the anneal.
    assert all(f">{name}</text>" in svg for name in ("web", "code", "instruction", "rest"))
    assert ">other</text>" not in svg
    assert svg.count("</text>") >= 27 + 10

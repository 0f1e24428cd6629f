from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from yulan.recipe import INIT, Book
from yulan.report import charts
from yulan.report.facts import Facts
from yulan.report.ink import FILE, PAGE


def rows(spec: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The data of each layer."""
    for layer in [spec, *spec.get("layer", [])]:
        if "data" in layer:
            yield layer["data"].get("values") or spec["datasets"][layer["data"]["name"]]


@pytest.mark.parametrize("name", charts.DRAWN)
def test_every_layer_of_every_chart_has_data(book: Book, facts: Facts, name: str):
    found = list(rows(charts.finished(charts.chart(name, facts, book.recipe), FILE)))
    assert found
    assert all(found)


def test_shares_of_each_phase_fill_its_bar(book: Book, facts: Facts):
    (bars,) = {id(r): r for r in rows(charts.finished(charts.mixes(facts), FILE))}.values()
    for phase in book.recipe.phases:
        parts = [row for row in bars if row["phase"] == phase]
        assert parts[0]["from"] == 0
        assert parts[-1]["to"] == pytest.approx(1)
        assert all(a["to"] == b["from"] for a, b in pairwise(parts))


def test_a_family_has_one_colour_in_every_picture(book: Book, facts: Facts):
    assert charts.legend("mixes", facts, book.recipe) == charts.legend("bits-per-byte", facts, book.recipe)


def test_what_several_finals_share_has_a_colour_of_its_own(book: Book):
    belongs = charts.branches(book.recipe)
    for leaf in book.recipe.leaves():
        assert belongs[leaf] == leaf
        for parent in book.recipe.path(leaf)[:-1]:
            assert belongs[parent] == (charts.TRUNK if len(book.recipe.leaves()) > 1 else leaf)


def test_a_curve_goes_on_from_its_parents_last_point(book: Book, facts: Facts):
    spec = charts.finished(charts.loss(facts, book.recipe), FILE)
    drawn = [row for found in rows(spec) for row in found if row.get("draw")]
    for name, phase in book.recipe.phases.items():
        first = next(row["step"] for row in drawn if row["phase"] == name)
        assert first == (1 if phase.after == INIT else book.recipe.start(name))


def test_long_curves_are_thinned_to_even_steps_and_keep_their_end(facts: Facts):
    some = charts.thinned(facts.curves, most=10)
    for phase in facts.phases:
        steps = [point.step for point in some if point.phase == phase]
        assert len(steps) <= 10
        assert steps[-1] == max(point.step for point in facts.curves if point.phase == phase)
        assert len({b - a for a, b in pairwise(steps)}) == 1
    assert charts.thinned(facts.curves, most=10**6) == list(facts.curves)


def test_on_a_page_a_chart_follows_its_width_and_theme(book: Book, facts: Facts):
    spec = charts.finished(charts.loss(facts, book.recipe), PAGE, page=True)
    assert spec["width"] == "container"
    assert spec["config"]["legend"]["disable"]
    assert spec["config"]["axis"]["labelColor"] == "var(--muted)"

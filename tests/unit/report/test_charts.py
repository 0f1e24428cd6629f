import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from yulan.recipe import INIT, Book
from yulan.report import axes, charts, inside
from yulan.report.facts import Facts, Look
from yulan.report.ink import FILE, GROUPS, PAGE


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
    belongs = axes.branches(book.recipe)
    for leaf in book.recipe.leaves():
        assert belongs[leaf] == leaf
        for parent in book.recipe.path(leaf)[:-1]:
            assert belongs[parent] == (axes.TRUNK if len(book.recipe.leaves()) > 1 else leaf)


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


def seen(name: str, facts: Facts, book: Book) -> list[dict[str, Any]]:
    """Rows of the lines of a chart of stability."""
    spec = charts.finished(charts.chart(name, facts, book.recipe), FILE)
    return next(found for found in rows(spec) if "value" in found[0])


def test_a_deep_model_is_drawn_by_eight_layers_from_the_first_to_the_last(book: Book, facts: Facts):
    deep = [
        Look(phase="phase-01", step=20, what="hidden_rms", place=place, value=1.0)
        for place in [*(f"layer {index:02}" for index in range(56)), "last norm"]
    ]
    places = list(charts.legend("hidden-rms", replace(facts, looks=tuple(deep), refused=()), book.recipe))
    assert (len(places), places[0], places[-1]) == (inside.MOST, "layer 00", "last norm")


def test_every_group_of_weights_has_a_colour_of_its_own(book: Book, facts: Facts):
    colours = charts.legend("group-gradient", replace(facts, refused=()), book.recipe)
    assert len(colours) == 11
    assert len(set(colours.values())) == 11 < len(GROUPS)


def test_a_refused_step_is_marked_in_every_chart_of_stability_and_only_where_there_is_one(book: Book, facts: Facts):
    for name in inside.SEEN:
        marks = [found for found in rows(charts.finished(charts.chart(name, facts, book.recipe), FILE)) if "why" in found[0]]
        assert marks == [[{"step": 203, "phase": "phase-02", "why": "loss", "place": inside.WORD}]]
        none = replace(facts, refused=())
        assert not any("why" in found[0] for found in rows(charts.finished(charts.chart(name, none, book.recipe), FILE)))
        assert inside.WORD not in charts.legend(name, none, book.recipe)


def test_an_update_of_nothing_leaves_a_logarithmic_axis_alone(book: Book, facts: Facts):
    still = Look(phase="phase-03", step=320, what="update_ratio", place="q_proj", value=0.0)
    assert all(row["value"] > 0 for row in seen("update-ratio", replace(facts, looks=(*facts.looks, still)), book))


def test_a_phase_is_led_in_by_its_parents_last_look(book: Book, facts: Facts):
    for phase in ("phase-03", "phase-03-short"):
        first = [row for row in seen("hidden-rms", facts, book) if row["phase"] == phase and not row["own"]]
        assert {row["step"] for row in first} == {260}


def test_on_a_page_no_chart_has_a_legend_of_its_own(book: Book, facts: Facts):
    for name in charts.DRAWN:
        text = json.dumps(charts.finished(charts.chart(name, facts, book.recipe), PAGE, page=True)["layer"])
        assert '"legend": {' not in text, "it would be drawn beside the page's"

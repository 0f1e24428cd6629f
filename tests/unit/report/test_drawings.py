from dataclasses import replace
from xml.etree import ElementTree

import pytest

from yulan.errors import IntegrityError
from yulan.manifest import Manifest
from yulan.report import flow, lineage
from yulan.report.drawing import Drawing
from yulan.report.facts import Facts
from yulan.report.ink import FILE, PAGE


def words(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("text")]


def test_a_drawing_is_well_formed_whatever_its_words_are():
    picture = Drawing(10, 10, FILE, '<&"title')
    picture.text(1, 2, "人 <b> & ]]>")
    assert words(picture.svg()) == ["人 <b> & ]]>"]


def test_the_data_flow_names_families_reasons_and_numbers(facts: Facts):
    shown = words(flow.draw(facts, FILE))
    raw = sum(count.documents for count in facts.counts if count.stage == "raw")
    assert f"{raw:,} documents" in shown
    assert "− 100 dropped" in shown
    assert "too short  70" in shown
    assert set(facts.families) <= set(shown)


def test_more_reasons_than_fit_are_summed(facts: Facts):
    one = facts.drops[0]
    many = tuple(replace(one, reason=f"cause_{i}", documents=10 * (i + 1)) for i in range(9))
    shown = words(flow.draw(replace(facts, drops=many), FILE))
    assert "4 more reasons  100" in shown
    assert sum("cause " in word for word in shown) == flow.REASONS - 1


def test_the_data_flow_is_drawn_even_of_nothing(facts: Facts):
    assert "raw" in words(flow.draw(replace(facts, counts=(), drops=()), FILE))


def test_a_picture_depends_on_its_facts_alone(facts: Facts, artifacts: dict[str, Manifest]):
    assert flow.draw(facts, PAGE) == flow.draw(facts, PAGE)
    assert lineage.draw(artifacts, PAGE) == lineage.draw(artifacts, PAGE)


def test_lineage_leads_from_the_last_artifact_to_all_it_was_made_from(artifacts: dict[str, Manifest]):
    found = lineage.trace(artifacts.__getitem__, "bundle")
    assert found == artifacts
    order = list(found)
    assert all(order.index(i) < order.index(name) for name, made in found.items() for i in made.inputs)


def test_an_artifact_made_from_another_build_breaks_the_lineage(artifacts: dict[str, Manifest]):
    mixed = artifacts | {"raw": replace(artifacts["raw"], summary={"documents": 1})}
    with pytest.raises(IntegrityError, match=r"dedup was made from another raw\. Build it again with: dvc repro"):
        lineage.trace(mixed.__getitem__, "bundle")


def test_lines_lead_from_direct_inputs_only(artifacts: dict[str, Manifest]):
    places = {p.name: p for p in lineage.place(artifacts)}
    assert places["shards"].inputs == ("dedup",)
    assert set(places["train@phase-02"].inputs) == {"mix@phase-02", "train@phase-01"}


def test_no_line_runs_through_the_dot_of_another_artifact(artifacts: dict[str, Manifest]):
    places = {p.name: p for p in lineage.place(artifacts)}
    for p in places.values():
        for origin in (places[i] for i in p.inputs):
            assert origin.row < p.row
            between = [q for q in places.values() if origin.row < q.row < p.row]
            assert all(q.lane != origin.lane for q in between)


def test_the_lineage_shows_each_artifact_with_its_digest(artifacts: dict[str, Manifest]):
    shown = words(lineage.draw(artifacts, FILE))
    assert all(name in shown and made.digest[:12] in shown for name, made in artifacts.items())

"""The stage `scored` on a little text, between de-duplication and decontamination."""

import dataclasses
from pathlib import Path

import pytest

from pipelines import scored
from pipelines.stage import Stage
from tests.unit.data.conftest import put
from tests.unit.data.score.kit import documents, texts
from yulan import manifest
from yulan.data.benchmarks import Item
from yulan.data.decontaminate import decontaminate
from yulan.data.documents import source_names
from yulan.data.index.fate import fate
from yulan.data.score.result import NAME
from yulan.errors import DataError
from yulan.layout import Layout
from yulan.mix import Mix, Part
from yulan.params import read_params
from yulan.profile import load_profile
from yulan.recipe import Book, load_recipe
from yulan.recipe.scoring import Cuts, Score
from yulan.report.gather import gather

ROOT = Path(__file__).resolve().parents[3]


def small(book: Book, **changes: object) -> Book:
    """nano's own rules for fewer documents, and mixes of two paths."""
    rules = book.recipe.data.score
    quality = dataclasses.replace(rules.quality["summary"], **changes)  # type: ignore[arg-type]
    score = Score(
        features=dataclasses.replace(rules.features, buckets=1 << 14),
        folds=dataclasses.replace(rules.folds, least=10),
        topics=rules.topics,
        quality={"summary": quality},
    )
    parts = {"en/passages/score_5": Part(weight=6, repeats=0), "en/wiki": Part(weight=4, repeats=0)}
    recipe = dataclasses.replace(book.recipe, data=dataclasses.replace(book.recipe.data, score=score))
    mixes = dict.fromkeys(book.mixes, Mix(total=10, sources=parts, intent=None, files=None))
    return Book(recipe=recipe, sources=book.sources, mixes=mixes)


@pytest.fixture(scope="module")
def book() -> Book:
    return load_recipe(ROOT, "nano")


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = Layout(root=tmp_path_factory.mktemp("clone"), recipe="nano")
    text = layout.stage("dedup")
    likeness = {"en/passages": 0.4, "en/wiki": 0.6, "qa/arc": 0.9, "qa/obqa": 0.8, "qa/csqa": 0.1, "code/django": 0.5}
    for seed, (name, share) in enumerate(likeness.items()):
        put(text.data, name, texts(seed, share, 90))
    manifest.seal(text, layout, stage="dedup", inputs={}, keys={}, summary={})
    return layout


def stage(layout: Layout, book: Book) -> Stage:
    params = read_params(ROOT)
    profile = load_profile(params.profile)
    return Stage(name="scored", phase=None, book=book, layout=layout, profile=profile, params=params, started=0.0)


def test_the_stage_seals_what_it_judged_and_the_next_ones_find_the_paths(layout: Layout, book: Book):
    little = small(book)
    scored.work(stage(layout, little))
    made = manifest.require_whole(layout.stage("scored"))
    assert set(made.inputs) == {"dedup"}
    assert set(made.keys) == {"data.score"}
    assert made.determinism is None
    folder = layout.stage("scored").data
    assert documents(folder).keys() == documents(layout.stage("dedup").data).keys()
    paths = made.summary["paths"]
    assert {path: sum(each == path for each, _ in documents(folder).values()) for path in paths} == paths
    assert set(made.summary["classifiers"]) == {"quality/summary", "topics/science"}
    scored.work(stage(layout, little))
    assert manifest.require_whole(layout.stage("scored")) == made
    clean = layout.stage("decontaminated").data
    item = Item(id="q1", question="Question: Which planet is red?\nAnswer:", choices=("Venus", "Mars"), answer=1)
    decontaminate({"quiz": [item]}, book.recipe.data.decontaminate, folder, clean)
    assert source_names(clean) == source_names(folder)
    assert "en/passages/score_5" in source_names(clean)
    assert "en/passages" not in source_names(clean)


def test_a_document_is_told_the_path_that_it_went_to(layout: Layout, book: Book):
    placed = {path: identity for identity, (path, _) in documents(layout.stage("scored").data).items()}
    (told,) = [each for each in fate(layout, book, placed["en/passages/score_2"]) if each.startswith("scored: ")]
    assert told.startswith("scored: goes to en/passages/score_2: score 2, probability 0.")
    (told,) = [each for each in fate(layout, book, placed["en/wiki/topic_science"]) if each.startswith("scored: ")]
    assert told.startswith("scored: goes to en/wiki/topic_science: likeliest topic 0.")
    assert not [each for each in fate(layout, book, placed["code/django"]) if each.startswith("scored: ")]


def test_the_report_tells_what_the_stage_measured(layout: Layout, book: Book):
    folder = layout.stage("scored").data
    facts = gather(book, {"scored": folder})
    measures = {(row.classifier, row.measure) for row in facts.agreement}
    assert {("quality/summary", "auc"), ("topics/science", "precision"), ("topics/science", "recall")} <= measures
    assert {row.role for row in facts.outcomes if row.source == "en/wiki"} == {"reference", "pool"}
    assert {row.outcome for row in facts.outcomes if row.classifier == "topics/science"} == {"left", "taken"}
    assert sum(row.documents for row in facts.calibration) == sum(row.documents for row in facts.outcomes)
    assert (folder / NAME).is_file()


def test_a_path_that_stays_empty_stops_the_stage_of_a_recipe_that_mixes_it(layout: Layout, book: Book):
    never = small(book, cuts=Cuts(by="probability", at=(0.2, 0.4, 0.6, 0.999999)))
    other = Layout(root=layout.root / "other", recipe="nano")
    text = other.stage("dedup")
    for name in ("qa/arc", "qa/obqa", "qa/csqa", "en/wiki", "en/passages"):
        put(text.data, name, texts(len(name), 0.9 if name in ("qa/arc", "qa/obqa", "en/wiki") else 0.1, 90))
    manifest.seal(text, other, stage="dedup", inputs={}, keys={}, summary={})
    with pytest.raises(DataError, match=r"no document of en/passages ends in en/passages/score_5, which a mix takes from"):
        scored.work(stage(other, never))
    assert not other.stage("scored").manifest.exists()

"""Mixes name the paths that sources are split into; rules that cannot be kept are refused before anything is built."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from yulan.errors import RecipeError
from yulan.layout import find_root
from yulan.lint import Finding, lint_file, lint_recipe
from yulan.recipe import load_recipe

ROOT = find_root(Path(__file__).parent)
Spoil = Callable[[str, str, Any], Path]
QUALITY, TOPIC = "data.score.quality.summary", "data.score.topics.science"


def test_a_path_carries_over_what_is_known_of_its_source():
    sources = load_recipe(ROOT, "nano").sources.sources
    parent = sources["en/passages"]
    for score in range(1, 6):
        path = sources[f"en/passages/score_{score}"]
        for key in ("family", "language", "licence", "attribution", "hub", "package", "synthetic"):
            assert getattr(path, key) == getattr(parent, key)
        assert (path.packaged, path.reader, path.options) == (False, "split", {"of": "en/passages"})
    assert sources["en/wiki/topic_science"].licence == sources["en/wiki"].licence


def test_the_paths_of_a_source_that_keeps_a_rest_hold_its_own_name():
    score = load_recipe(ROOT, "nano").recipe.data.score
    assert score.split == ("en/passages", "en/wiki")
    assert score.paths("en/wiki") == ("en/wiki", "en/wiki/topic_science")
    assert score.paths("en/passages") == tuple(f"en/passages/score_{n}" for n in range(1, 6))
    assert score.paths("qa/arc") == ("qa/arc",)
    assert score.root("en/wiki/topic_science") == "en/wiki"


def test_a_mix_that_names_what_was_split_up_is_told_the_paths(copied: Path, spoil: Spoil):
    spoil("mixes/phase-01.yaml", "sources.en/passages", {"weight": 0, "repeats": 0})
    words = r"phase-01\.yaml: \$\.sources: en/passages is split by \$\.data\.score, nothing is left under its own name"
    with pytest.raises(RecipeError, match=rf"{words}\. Name its paths: en/passages/score_1, "):
        load_recipe(copied, "nano")


def test_a_path_that_is_not_made_is_named_with_the_nearest(copied: Path, spoil: Spoil):
    spoil("mixes/phase-01.yaml", "sources.en/passages/score_6", {"weight": 0, "repeats": 0})
    with pytest.raises(RecipeError, match=r"no source named 'en/passages/score_6'\. Did you mean 'en/passages/score_"):
        load_recipe(copied, "nano")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (f"{QUALITY}.reference", ["en/wikki"], "reference: no source named 'en/wikki' to score or learn from"),
        (f"{QUALITY}.sources", ["en/passages/topic_x"], "no source named 'en/passages/topic_x' to score"),
        (f"{QUALITY}.reference", ["en/passages"], "en/passages cannot be judged and be the measure"),
        (f"{TOPIC}.against", ["qa/arc"], "qa/arc is on both sides of a classifier"),
        (f"{QUALITY}.cuts.at", [0.2, 0.4, 0.4, 0.8], "cuts do not rise from 0 to 1"),
        (f"{QUALITY}.cuts.at", [0.2, 0.4, 0.6], "is too short"),
        (f"{TOPIC}.threshold", 1, "greater than or equal to the maximum"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(copied: Path, spoil: Spoil, key: str, value: Any, words: str):
    spoil("recipe.yaml", key, value)
    with pytest.raises(RecipeError, match=words):
        load_recipe(copied, "nano")


def test_a_path_is_scored_by_one_classifier(copied: Path, spoil: Spoil):
    twin = {"sources": ["en/passages"], "reference": ["qa/arc"], "against": [], "draw": 9, "c": 1.0}
    cuts = {"by": "share", "at": [0.2, 0.4, 0.6, 0.8]}
    spoil("recipe.yaml", "data.score.quality.other", twin | {"cuts": cuts, "labels": None})
    with pytest.raises(RecipeError, match="en/passages is scored twice"):
        load_recipe(copied, "nano")


def test_a_path_may_not_have_the_name_of_a_source(copied: Path, spoil: Spoil):
    path = copied / "recipes/nano/sources.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\n  zh/words:", "\n  en/wiki/topic_science:"), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"en/wiki/topic_science is a source already\. Rename it"):
        load_recipe(copied, "nano")


def test_token_files_cannot_be_judged(copied: Path, spoil: Spoil):
    told = {"package": None, "hub": "a/b", "reader": "tokens", "options": {"repo": "a/b", "column": "ids"}}
    for key, value in told.items():
        spoil("sources.yaml", f"sources.en/passages.{key}", value)
    with pytest.raises(RecipeError, match="en/passages is token files: there is no text"):
        load_recipe(copied, "nano")


def test_lint_knows_the_licence_of_a_path():
    (found,) = [each for each in lint_file(ROOT / "recipes/nano/mixes/phase-02.yaml") if each.rule == "licences"]
    # The sources' own shares: 20 + 2 of Wikipedia's, the passages and no more of unknown licence.
    assert "CC-BY-SA-4.0 22.0 %" in found.what
    assert "unknown 18.0 %" in found.what


def test_lint_names_the_paths_that_no_mix_takes_from(copied: Path, spoil: Spoil):
    def unread() -> list[Finding]:
        return [each for each in lint_recipe(load_recipe(copied, "nano"), copied / "recipes/nano") if each.rule == "unread-path"]

    assert not unread()
    spoil("mixes/phase-01.yaml", "sources.en/passages/score_1", {"weight": 0, "repeats": 0})
    spoil("mixes/phase-01.yaml", "sources.en/passages/score_2", {"weight": 7, "repeats": 0})
    assert [(each.level, each.where, each.what) for each in unread()] == [
        ("note", "en/passages", "no mix takes from en/passages/score_1")
    ]

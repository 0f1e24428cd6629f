"""Documents are repaired and masked, then kept or dropped for one reason; ids do not move."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.data.conftest import put
from tests.unit.data.corpus_kit import contents, source
from yulan import digest
from yulan.data import frames
from yulan.data.clean import KINDS, MASKED, clean, judge
from yulan.data.clean.repair import repair
from yulan.data.documents import source_names
from yulan.data.drops import read_drops
from yulan.data.partitions import kept
from yulan.errors import DataError, RecipeError
from yulan.layout import find_root
from yulan.recipe import load_recipe
from yulan.recipe.cleaning import Clean, Filter, Length, Treatment

NANO = load_recipe(find_root(), "nano").recipe.data.clean
PROSE = "The river rises in the hills and flows slowly to the sea."


def rules(*filters: Filter) -> Clean:
    """nano's thresholds, a small length, and these filters for everything."""
    treatment = Treatment(filters=filters or ("length", "letters", "language", "gopher-lines"), mask=KINDS)
    return replace(NANO, length=Length(min_chars=10, max_chars=500), families={"code": treatment})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        ("Too short", "short"),
        (PROSE * 20, "long"),
        (PROSE + " \ufffd", "encoding"),
        (f"{PROSE}\n{PROSE}", "gopher-repeated-lines"),
        ("-- // :: ;; !! ~~ && ab", "few-letters"),
        ("La rivière naît dans les collines et coule vers la mer.", "language"),
        ("河流发源于山丘，缓缓流向大海，沿途经过许多村庄。", "language"),
    ],
)
def test_a_document_is_dropped_for_one_reason(text: str, reason: str | None):
    assert judge([text, PROSE], source(language="en"), rules())[1] == [reason, None]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "河流发源于山丘，缓缓流向大海，沿途经过许多村庄。"),
        ("mul", "La rivière naît dans les collines et coule vers la mer."),
        ("code", "for x in range(9): print(x)"),
        ("en", "Question: Calculate 12 + 34 - 5.\nAnswer: 41"),
    ],
)
def test_a_text_in_its_sources_language_stays(language: str, text: str):
    assert judge([text], source(language=language), rules())[1] == [None]


def test_only_the_filters_of_the_family_judge():
    text = "x = {\n\n" + "    1: 2,\n" * 9 + "}"
    assert judge([text], source(), rules("length", "python-syntax"))[1] == [None]
    assert judge([text], source(), rules("length", "gopher-lines"))[1] == ["gopher-repeated-lines"]


def test_a_filter_sees_what_the_one_before_has_trimmed():
    text = f"# Copyright 2020\n# All rights reserved\n{PROSE}"
    assert judge([text], source(), rules("licence-header", "length")) == ([PROSE], [None])
    assert judge([text.replace(PROSE, "x = 1")], source(), rules("licence-header", "length"))[1] == ["short"]


def test_what_is_masked_is_counted(tmp_path: Path):
    texts = [f"{PROSE} Write to a@uni.edu or b@uni.edu.", "a@uni.edu", f"{PROSE} From 8.8.4.4.", PROSE]
    put(tmp_path / "raw", "en/a", texts)
    drops, masked = clean({"en/a": source(language="en")}, rules("length"), tmp_path / "raw", tmp_path / "clean")
    assert masked == {"en/a": {"email": 2, "ip": 1}}
    rows = pq.read_table(tmp_path / "clean" / MASKED).to_pylist()
    assert {row["id"]: (row["email"], row["ip"]) for row in rows} == {
        digest.of_text(texts[0]): (2, 0),
        digest.of_text(texts[2]): (0, 1),
    }
    assert source_names(tmp_path / "clean") == ("en/a",)
    assert "a@uni.edu" not in drops.sources["en/a"].reasons["short"].samples[0].text


PARTS = st.sampled_from(
    ["# Copyright\n", "```\n", "$$", "{", "...", "- a\n", "[1]", "the ", "to be ", "\n\n", "ab, ", "。", "x\u2028", "1"]
)


@given(st.lists(st.one_of(st.text(max_size=9), PARTS).map("".join), max_size=30).map("".join))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_a_filter_and_a_kept_one_is_kept_again(text: str):
    every = replace(rules(*get_args(Filter)), length=Length(min_chars=0, max_chars=500), c4=replace(NANO.c4, min_sentences=0))
    lenient = replace(every, gopher_quality=replace(NANO.gopher_quality, min_words=0, min_alphabetic_words=0.0, min_stop_words=0))
    for name in get_args(Filter):
        one = replace(lenient, families={"code": Treatment(filters=(name,), mask=())})
        (trimmed,), (reason,) = judge([repair(text, code=False)], source(language="en"), one)
        if reason is None:
            assert judge([trimmed], source(language="en"), one) == ([trimmed], [None])


def test_ids_do_not_move_and_drops_are_told(tmp_path: Path):
    put(tmp_path / "raw", "en/a", [PROSE + "\r\n", "short", "tiny", "Another  sentence that is long enough　to keep."])
    drops, _ = clean({"en/a": source(language="en")}, rules(), tmp_path / "raw", tmp_path / "clean")
    table = frames.read(frames.parts(tmp_path / "clean", "en/a")).to_pylist()
    assert {row["id"]: row["text"] for row in table} == {
        digest.of_text(PROSE + "\r\n"): PROSE,
        digest.of_text("Another  sentence that is long enough　to keep."): "Another  sentence that is long enough to keep.",
    }
    flow = drops.sources["en/a"]
    assert (flow.documents, flow.kept, flow.reasons["short"].count) == (4, 2, 2)
    assert [sample.id for sample in flow.reasons["short"].samples] == sorted(digest.of_text(text) for text in ("short", "tiny"))
    assert read_drops(tmp_path / "clean") == drops


def test_a_source_of_which_nothing_is_left_stops_the_build(tmp_path: Path):
    put(tmp_path / "raw", "en/a", ["short"])
    with pytest.raises(DataError, match=r"no document of en/a is left\. Loosen \$\.data\.clean"):
        clean({"en/a": source(language="en")}, rules(), tmp_path / "raw", tmp_path / "clean")


def test_two_builds_give_equal_bytes(tmp_path: Path):
    put(tmp_path / "raw", "en/a", [f"{PROSE} Number {n}." for n in range(3000)])
    for name in ("one", "two"):
        clean({"en/a": source(language="en")}, rules(), tmp_path / "raw", tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_parts_that_are_cleaned_together_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frames, "PART_BYTES", 3000)
    texts = [f"{PROSE} Number {n}." for n in range(400)]
    table = pa.table({"id": [digest.of_text(t) for t in texts], "text": texts, "source": ["en/a"] * 400})
    assert frames.write(tmp_path / "raw", "en/a", table) > 5
    for at_once in (1, 4):
        with kept(tmp_path / f"runs-{at_once}", keys={}, at_once=at_once) as partitions:
            clean({"en/a": source(language="en")}, rules(), tmp_path / "raw", tmp_path / f"{at_once}", partitions)
    assert contents(tmp_path / "1") == contents(tmp_path / "4")


def test_every_family_with_text_says_how_it_is_cleaned(tmp_path: Path):
    shutil.copytree(find_root() / "recipes/nano", tmp_path / "recipes/nano")
    path = tmp_path / "recipes/nano/recipe.yaml"
    path.write_text("".join(line for line in path.read_text(encoding="utf-8").splitlines(True) if "      math: {f" not in line))
    with pytest.raises(RecipeError, match="nothing says how math/arithmetic of family 'math' is cleaned"):
        load_recipe(tmp_path, "nano")


def test_a_list_of_shares_has_one_for_each_length():
    with pytest.raises(RecipeError, match="2 shares instead of 3"):
        replace(NANO.gopher_ngrams, top=(0.2, 0.1))

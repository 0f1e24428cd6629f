"""Documents are repaired, then kept or dropped for one reason."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.data.conftest import put
from tests.unit.data.corpus_kit import contents, source
from yulan import digest
from yulan.data import frames
from yulan.data.clean import clean, fault, repair
from yulan.data.drops import read_drops
from yulan.errors import DataError
from yulan.recipe.corpus import Clean

RULES = Clean(min_chars=10, max_chars=500, min_letters=0.6, max_repeated_lines=0.3, max_symbols=0.1, language_confidence=0.5)
PROSE = "The river rises in the hills and flows slowly to the sea."


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("宽　空\u00a0格", "宽 空 格"),
        ("  end \t\n next  ", "end\n next"),
        ("zero\u200bwidth\ufeff soft\u00adhyphen\x00\x1b", "zerowidth softhyphen"),
        ("e\u0301", "é"),
        ("5 \u2126 e\u0301 \uf900", "5 \u2126 é \uf900"),
        ("क\u200dष", "क\u200dष"),
    ],
)
def test_text_is_repaired(text: str, repaired: str):
    assert repair(text, "en") == repaired


def test_code_keeps_its_characters():
    assert repair("x = '　\u200b'  \r\n\ty\n", "code") == "x = '　\u200b'\n\ty"


@given(st.text())
@settings(max_examples=300)
def test_repair_is_done_once(text: str):
    assert repair(repair(text, "en"), "en") == repair(text, "en")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        ("Too short", "short"),
        (PROSE * 20, "long"),
        (PROSE + " \ufffd", "encoding"),
        (f"{PROSE}\n{PROSE}", "repeated-lines"),
        ("-- // :: ;; !! ~~ && ab", "few-letters"),
        (PROSE + " # # ...", "symbols"),
        ("La rivière naît dans les collines et coule vers la mer.", "language"),
        ("河流发源于山丘，缓缓流向大海，沿途经过许多村庄。", "language"),
    ],
)
def test_a_document_is_dropped_for_one_reason(text: str, reason: str | None):
    assert fault(text, "en", RULES) == reason


def test_chinese_is_known():
    assert fault("河流发源于山丘，缓缓流向大海，沿途经过许多村庄。", "zh", RULES) is None


def test_rules_for_prose_spare_code_and_mixed_languages():
    assert fault("# ---\n# ---\n# ---\n{}\n{}\n{}", "code", RULES) is None
    assert fault("La rivière naît dans les collines et coule vers la mer.", "mul", RULES) is None


def test_arithmetic_stays():
    assert fault("Question: Calculate 12 + 34 - 5.\nAnswer: 41", "en", RULES) is None


def test_ids_do_not_move_and_drops_are_told(tmp_path: Path):
    put(tmp_path / "raw", "en/a", [PROSE + "\r\n", "short", "tiny", "Another  sentence that is long enough　to keep."])
    drops = clean({"en/a": source(language="en")}, RULES, tmp_path / "raw", tmp_path / "clean")
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
        clean({"en/a": source(language="en")}, RULES, tmp_path / "raw", tmp_path / "clean")


def test_two_builds_give_equal_bytes(tmp_path: Path):
    put(tmp_path / "raw", "en/a", [f"{PROSE} Number {n}." for n in range(3000)])
    for name in ("one", "two"):
        clean({"en/a": source(language="en")}, RULES, tmp_path / "raw", tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")

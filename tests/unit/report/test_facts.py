from dataclasses import replace
from pathlib import Path

import pytest

from yulan.errors import DataError
from yulan.report.facts import TABLES, Facts, in_words, read_facts, write_facts


def test_tables_read_back_to_the_same_bits(tmp_path: Path, facts: Facts):
    write_facts(tmp_path, facts)
    assert read_facts(tmp_path) == facts


def test_equal_facts_give_equal_tables(tmp_path: Path, facts: Facts):
    for name in ("one", "other"):
        write_facts(tmp_path / name, facts)
    assert [(tmp_path / "one" / t).read_bytes() for t in TABLES] == [(tmp_path / "other" / t).read_bytes() for t in TABLES]


def test_a_missing_table_names_itself_and_the_cure(tmp_path: Path, facts: Facts):
    write_facts(tmp_path, facts)
    (tmp_path / "drops.csv").unlink()
    with pytest.raises(DataError, match=r"drops\.csv: not a table of Drop rows \(FileNotFoundError\)\. .*dvc repro figures"):
        read_facts(tmp_path)


@pytest.mark.parametrize("text", ["phase,step\nphase-01,1\n", "phase,step,tokens,loss,lr,grad_norm\np,1,1,much,0,0\n", "\xff"])
def test_a_table_of_another_kind_is_refused(tmp_path: Path, facts: Facts, text: str):
    write_facts(tmp_path, facts)
    (tmp_path / "curves.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="not a table of Point rows"):
        read_facts(tmp_path)


def test_a_look_at_something_unknown_is_refused(tmp_path: Path, facts: Facts):
    write_facts(tmp_path, facts)
    (tmp_path / "looks.csv").write_text("phase,step,what,place,value\nphase-01,20,colour,q_proj,1.0\n")
    with pytest.raises(DataError, match=r"not a table of Look rows \(ValueError\)"):
        read_facts(tmp_path)


def test_families_are_ordered_by_the_tokens_they_give(facts: Facts):
    tokens = [sum(s.tokens for s in facts.mixes if s.family == family) for family in facts.families]
    assert tokens == sorted(tokens, reverse=True)
    assert replace(facts, mixes=()).families == tuple(sorted(facts.families))


@pytest.mark.parametrize(
    ("number", "unit", "words"),
    [
        (0, "", "0"),
        (850, "B", "850 B"),
        (999.6, "", "1.0 k"),
        (1_310_720, "", "1.3 M"),
        (24_900_000, "B", "24.9 MB"),
        (2.5e9, "", "2.5 B"),
        (4.8e9, "B", "4.8 GB"),
        (104e6, "", "104 M"),
    ],
)
def test_numbers_for_people_have_three_digits(number: float, unit: str, words: str):
    assert in_words(number, unit) == words

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yulan import digest
from yulan.errors import IntegrityError, RecipeError
from yulan.mix import FileList, Group, allocate, list_text, load_mix, parse_list, read_list

WEIGHTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 10**6), min_size=1).filter(
    lambda weights: any(weights.values())
)


def test_every_token_of_the_budget_is_given_out():
    assert allocate({"web": 1, "code": 1, "math": 1}, budget=100) == {"code": 34, "math": 33, "web": 33}


@given(WEIGHTS, st.integers(0, 10**13))
def test_parts_sum_to_the_budget_and_are_off_by_less_than_a_token(weights: dict[str, int], budget: int):
    given_out = allocate(weights, budget)
    assert sum(given_out.values()) == budget
    total = sum(weights.values())
    assert all(abs(given_out[name] * total - weights[name] * budget) < total for name in weights)
    assert list(given_out) == sorted(weights)


@given(WEIGHTS, st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_the_order_in_which_sources_are_written_changes_nothing(weights, budget, random):
    names = list(weights)
    random.shuffle(names)
    assert allocate({name: weights[name] for name in names}, budget) == allocate(weights, budget)


def test_weights_that_do_not_sum_to_their_total_are_refused(tmp_path: Path):
    path = tmp_path / "phase-01.yaml"
    path.write_text(
        "total: 100\nsources:\n  en/wiki: {weight: 60, repeats: 0}\n  code/x: {weight: 41, repeats: 0}\n"
        "intent: null\nfiles: null\n"
    )
    with pytest.raises(RecipeError, match=r"phase-01\.yaml: \$\.total: the weights sum to 101, not to 100"):
        load_mix(path)


def test_a_mix_gives_its_quotas(tmp_path: Path):
    path = tmp_path / "mix.yaml"
    path.write_text(
        "total: 10\nsources:\n  b: {weight: 6, repeats: 0}\n  a: {weight: 4, repeats: 1}\nintent: null\nfiles: null\n"
    )
    assert load_mix(path).quotas(1001) == {"a": 400, "b": 601}


def with_list(folder: Path, text: str) -> FileList:
    (folder / "files").mkdir(exist_ok=True)
    (folder / "files/x.txt.gz").write_bytes(gzip.compress(text.encode()))
    return FileList(path="files/x.txt.gz", count=text.count("\n\t"), sha256=digest.of_bytes(text.encode()))


def test_a_list_of_token_files_reads_back_as_it_was_written(tmp_path: Path):
    groups = (Group(source="a/b", tokens=7, paths=("/0.parquet", "/1.parquet")), Group(source="a/b", tokens=1, paths=()))
    assert read_list(tmp_path, with_list(tmp_path, list_text(list(groups)))) == groups
    assert read_list(tmp_path, with_list(tmp_path, "")) == ()


def test_a_list_that_is_not_the_one_of_its_mix_is_refused(tmp_path: Path):
    listed = with_list(tmp_path, "a\t1\n\t/0\n")
    with pytest.raises(RecipeError, match="no such list of token files"):
        read_list(tmp_path, replace(listed, path="files/y.txt.gz"))
    with pytest.raises(IntegrityError, match="the list does not hold 2 files"):
        read_list(tmp_path, replace(listed, count=2))
    for spoilt in (gzip.compress(b"a\t1\n\t/1\n"), b"", b"plain", gzip.compress(b"a\t1\n\t/0\n")[:-9]):
        (tmp_path / listed.path).write_bytes(spoilt)
        with pytest.raises(IntegrityError, match="the list of token files is not the one of its mix"):
            read_list(tmp_path, listed)


PATHS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\t"), min_size=1, max_size=8)


@given(st.lists(st.tuples(PATHS, st.integers(0, 10**12), st.lists(PATHS, max_size=4).map(tuple)), min_size=1, max_size=5))
def test_any_list_reads_back_as_it_was_laid_out(rows: list[tuple[str, int, tuple[str, ...]]]):
    groups = [Group(source=source, tokens=tokens, paths=paths) for source, tokens, paths in rows]
    assert list(parse_list(list_text(groups), Path("x"))) == groups


@pytest.mark.parametrize("text", ["\n", "a\n", "a\t\n", "a\tmany\n", "\t/first.parquet\n", "a\t1\n\t\n", "a\t1\n\n", "a\t-1\n"])
def test_a_line_that_is_neither_a_source_nor_a_file_is_named(text: str):
    with pytest.raises(RecipeError, match=r"x: line \d names no source with its tokens, and no file of one"):
        list(parse_list(text, Path("x")))

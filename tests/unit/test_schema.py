from pathlib import Path
from typing import Any

import pytest

from yulan import schema
from yulan.errors import DataError, RecipeError
from yulan.schema import check, load_json, load_yaml, suggest


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "file"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x 1\nb: *x\n", r"file:2: not plain YAML: aliases are not allowed"),
        ("a: 1\na: 2\n", r"file:2: not plain YAML: the key 'a' stands twice"),
        ("1: 2\n", r"not plain YAML: the key .* is not text"),
        ("a: !!python/object/apply:os.system [echo]\n", "not plain YAML: could not determine a constructor"),
        ("a: [1\n", "not plain YAML"),
        ("a: " + "[" * 150, "not plain YAML: more than 100 collections in each other"),
        ("a: " + "[" * 200_000, "not plain YAML: "),
        ("a: 2001-99-99\n", "not plain YAML: ValueError"),
    ],
)
def test_yaml_that_could_surprise_is_refused_at_its_line(tmp_path: Path, text: str, words: str):
    with pytest.raises(RecipeError, match=words):
        load_yaml(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "not JSON: a key stands twice"),
        ('{"a": NaN}', "not JSON: NaN is not a JSON number"),
        ('{"a": 1e999}', "not JSON: 1e999 is not a JSON number"),
        ('{"a": -Infinity}', "not JSON: -Infinity is not a JSON number"),
        ('{"a": ', "not JSON: Expecting value"),
        ("[" * 200_000, "not JSON: "),
    ],
)
def test_json_that_could_surprise_is_refused(tmp_path: Path, text: str, words: str):
    with pytest.raises(DataError, match=words):
        load_json(written(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text_is_said(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"none\.yaml: no such file\. Check the name, or restore it"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(DataError, match=r"cannot be read \(UnicodeDecodeError\)"):
        load_json(written(tmp_path, b"\xff"))
    with pytest.raises(DataError, match=r"cannot be read \(IsADirectoryError\)"):
        load_json(tmp_path)


def test_a_file_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema, "LARGEST", 10)
    with pytest.raises(DataError, match="11 bytes; at most 10 are read"):
        load_json(written(tmp_path, "1" * 11))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"totl": 1, "sources": {}}, r"where: \$: unknown key 'totl'\. Did you mean 'total'\?"),
        (
            {"total": 1, "sources": {}, "intent": None, "files": None, "totl": 1},
            r"where: \$: unknown key 'totl'\. Did you mean 'total'\?",
        ),
        (
            {"total": 1, "sources": {}, "intent": None, "files": None, "zz": 1},
            r"unknown key 'zz'\. Known: files, intent, sources, total",
        ),
        (
            {"total": 1, "intent": None, "files": None},
            r"missing key 'sources'\. Add it: a recipe is complete, it has no defaults",
        ),
        (
            {"total": "many", "sources": {"a": {"weight": 1, "repeats": 0}}, "intent": None, "files": None},
            r"\$\.total: 'many' is not of type integer\. Correct",
        ),
        (
            {"total": "1e3", "sources": {"a": {"weight": 1, "repeats": 0}}, "intent": None, "files": None},
            r"\(write 1\.0e-3, not 1e-3, which YAML reads as text\)",
        ),
        (
            {"total": 1, "sources": {"A B": {"weight": 1, "repeats": 0}}, "intent": None, "files": None},
            r"the name 'A B' is not allowed\. Use lower-case letters",
        ),
        (
            {"total": 1, "sources": {"a": {"weight": -1, "repeats": 0}}, "intent": None, "files": None},
            r"\$\.sources\.a\.weight: -1 is less than the minimum",
        ),
    ],
)
def test_a_wrong_key_is_pointed_at_and_cured(value: Any, words: str):
    with pytest.raises(RecipeError, match=words):
        check(value, "mix", "where")


def test_a_value_that_is_none_of_the_known_ones_gets_the_nearest():
    raw = load_yaml(schema.shipped("profiles") / "cpu-2.yaml") | {"device": "cudda"}
    with pytest.raises(RecipeError, match=r"\$\.device: 'cudda' is not one of the known values\. Did you mean 'cuda'\?"):
        check(raw, "profile", "p.yaml")


def test_the_caller_chooses_the_class_of_the_error():
    with pytest.raises(DataError):
        check({}, "mix", "where", DataError)


def test_a_suggestion_is_near_or_lists_all():
    assert suggest("phse-01", ["phase-01", "phase-02"]) == "Did you mean 'phase-01'?"
    assert suggest("x", ["phase-01", "phase-02"]) == "Known: phase-01, phase-02"


def test_a_number_of_values_that_memory_would_feel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema, "MOST", 1000)
    load_yaml(written(tmp_path, "- a\n" * 990))
    with pytest.raises(RecipeError, match="not plain YAML: more than 1,000 values"):
        load_yaml(written(tmp_path, "- a\n" * 1000))


def test_a_thousand_wrong_values_are_enough_to_tell_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schema, "ERRORS", 3)
    sources = {f"a{n}": {"weight": -1, "repeats": 0} for n in range(9)}
    with pytest.raises(RecipeError, match=r"weight: -1 is less than the minimum"):
        check({"total": 1, "sources": sources, "intent": None, "files": None}, "mix", "where")


@pytest.mark.parametrize("name", ["phase-01\n", "phase-01\n\n", "\nphase-01"])
def test_a_name_does_not_end_in_a_line_end(name: str):
    with pytest.raises(RecipeError, match=r"\$\.recipe: .* does not match"):
        check({"recipe": name, "profile": "cpu-1", "phases": {}}, "params", "where")


@pytest.mark.parametrize("path", ["files/../../secret.gz", "files/..", "../files/x.gz", "/files/x.gz"])
def test_a_list_of_token_files_lies_below_the_recipe(path: str):
    files = {"path": path, "count": 1, "sha256": "0" * 64}
    with pytest.raises(RecipeError, match=r"\$\.files\.path: .* does not match"):
        check({"total": 1, "sources": {"a": {"weight": 1, "repeats": 0}}, "intent": None, "files": files}, "mix", "where")

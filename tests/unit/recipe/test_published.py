"""Published tables become mixes, lists and sources, or are refused where they contradict each other."""

import csv
import gzip
import io
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.import_mixes import main
from yulan.errors import DataError
from yulan.mix import load_mix, read_list
from yulan.recipe.published import Tables, hub_id, import_mixes
from yulan.recipe.sources import load_sources

ROWS = {
    "mixes": [
        ["mix", "source", "selected_tokens", "requested_tokens", "flag"],
        ["01_20241017_013512", "web/a", "70", "60", ""],
        ["01_20241017_013512", "Code/b", "30", "", ""],
        ["01_20241017_013512", "web/gone", "", "20", ""],
        ["02_20241018_000000", "web/a", "10", "10", "1"],
    ],
    "totals": [["mix", "declared_total_tokens"], ["01_20241017_013512", "105"], ["02_20241018_000000", "10"]],
    "files": [
        ["mix", "source", "group", "group_tokens", "position", "path"],
        ["01_20241017_013512", "web/a", "0", "70", "0", "input_ids/web/a/z/part-1.parquet"],
        ["01_20241017_013512", "web/a", "0", "70", "1", "input_ids/web/a__round__2/z/part-1.parquet"],
        ["01_20241017_013512", "Code/b", "0", "20", "0", "input_ids/Code/b/part-0.parquet"],
        ["01_20241017_013512", "Code/b", "1", "10", "0", "input_ids/Code/b/part-9.parquet"],
        ["02_20241018_000000", "web/a", "0", "10", "0", "input_ids/web/a/z/part-2.parquet"],
    ],
    "datasets": [["name", "address"], ["web-a", "https://huggingface.co/datasets/some/web-a?row=0"]],
    "origins": [["prefix", "family", "language", "dataset"], ["web", "web", "en", "web-a"], ["Code/b", "code", "code", ""]],
    "benchmarks": [["benchmark", "hub"], ["quiz", "some/quiz"]],
}
Rows = dict[str, list[list[str]]]


@pytest.fixture
def rows() -> Rows:
    return {name: [list(row) for row in table] for name, table in ROWS.items()}


def tables(folder: Path, rows: Rows) -> Tables:
    paths = {}
    for name, table in rows.items():
        paths[name] = folder / (f"{name}.csv.gz" if name == "files" else f"{name}.csv")
        text = io.StringIO()
        csv.writer(text).writerows(table)
        data = text.getvalue().encode()
        paths[name].write_bytes(gzip.compress(data) if name == "files" else data)
    return Tables(**paths, repo="some/tokens")


def test_what_was_asked_for_stands_apart_from_what_was_given(tmp_path: Path, rows: Rows):
    assert import_mixes(tables(tmp_path, rows), {"02_20241018_000000": "phase-02-b"}, tmp_path / "r") == (
        "phase-01",
        "phase-02-b",
    )
    mix = load_mix(tmp_path / "r/mixes/phase-01.yaml")
    assert {name: part.weight for name, part in mix.sources.items()} == {"web/a": 70, "Code/b": 30}
    assert mix.intent is not None
    assert (mix.intent.name, mix.intent.declared, mix.total) == ("01_20241017_013512", 105, 100)
    assert {name: asked.tokens for name, asked in mix.intent.sources.items()} == {"web/a": 60, "web/gone": 20}
    other = load_mix(tmp_path / "r/mixes/phase-02-b.yaml").intent
    assert other is not None
    assert other.sources["web/a"].flag == 1


def test_token_files_are_kept_in_their_order(tmp_path: Path, rows: Rows):
    import_mixes(tables(tmp_path, rows), {}, tmp_path / "r")
    mix = load_mix(tmp_path / "r/mixes/phase-01.yaml")
    assert mix.files is not None
    first, *others = read_list(tmp_path / "r", mix.files)
    assert (first.source, first.tokens, first.paths) == ("web/a", 70, ("/z/part-1.parquet", "__round__2/z/part-1.parquet"))
    assert [(group.source, group.tokens) for group in others] == [("Code/b", 20), ("Code/b", 10)]
    assert mix.files.count == 4


def test_a_source_has_a_dataset_only_if_the_authors_name_one(tmp_path: Path, rows: Rows):
    import_mixes(tables(tmp_path, rows), {}, tmp_path / "r")
    sources = load_sources(tmp_path / "r/sources.yaml")
    assert {name: (each.hub, each.family) for name, each in sources.sources.items()} == {
        "Code/b": ("unknown", "code"),
        "web/a": ("some/web-a", "web"),
        "web/gone": ("some/web-a", "web"),
    }
    assert {each.licence for each in sources.sources.values()} == {"unknown"}
    assert sources.textless
    assert {tuple(each.options.values()) for each in sources.sources.values()} == {("some/tokens", "input_ids")}
    assert sources.benchmarks["quiz"].hub == "some/quiz"


def test_importing_again_changes_no_byte(tmp_path: Path, rows: Rows):
    for folder in ("one", "two"):
        import_mixes(tables(tmp_path, rows), {}, tmp_path / folder)
    names = [path.relative_to(tmp_path / "one") for path in sorted((tmp_path / "one").rglob("*")) if path.is_file()]
    assert len(names) == 5
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "words"),
    [
        ("mixes", 1, 2, "7e1", r"'7e1' is not a whole number"),
        ("mixes", 1, 2, "71", r"the files of web/a do not sum to what 01_20241017_013512 was given"),
        ("mixes", 4, 0, "01_20250101_000000", r"01_20241017_013512 and 01_20250101_000000 would both be phase-01"),
        ("mixes", 1, 1, "http/a", r"the files of http/a do not sum to what"),
        ("totals", 2, 0, "03_20241018_000000", r"no total of 02_20241018_000000\. Take both tables from one commit"),
        ("files", 2, 4, "2", r"part-1\.parquet is out of order or not a file of web/a"),
        ("files", 2, 5, "input_ids/web/b/part.parquet", r"is out of order or not a file of web/a"),
        ("files", 2, 5, "input_ids/web/a/../b/part.parquet", r"is out of order or not a file of web/a"),
        ("origins", 2, 0, "Code/c", r"no prefix covers Code/b\. Add a line with its family and language"),
        ("origins", 1, 3, "web-b", r"no dataset named 'web-b'\. Correct the line web of"),
    ],
)
def test_tables_that_contradict_each_other_are_refused(
    tmp_path: Path, rows: Rows, table: str, row: int, column: int, value: str, words: str
):
    rows[table][row][column] = value
    with pytest.raises(DataError, match=words):
        import_mixes(tables(tmp_path, rows), {}, tmp_path / "r")


def test_only_a_dataset_of_the_hub_becomes_an_id():
    assert hub_id("https://huggingface.co/datasets/a/b-c") == "a/b-c"
    for other in ("https://huggingface.co/datasets?search=b", "https://huggingface.co/a/b", "https://www.ioccc.org", "unknown"):
        assert hub_id(other) == other


def test_a_wrong_call_is_refused_in_words():
    done = CliRunner().invoke(main, ["yulan-mini", *"abcd", "OWNER/NAME", "26_20241127"])
    assert (done.exit_code, "'26_20241127' is not OLD=NEW" in done.output) == (2, True)
    assert "Missing argument 'MIXES'" in CliRunner().invoke(main, ["yulan-mini"]).output

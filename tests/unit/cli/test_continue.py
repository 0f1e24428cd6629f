"""The words of `yulan continue` and what it answers to wrong ones."""

from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from tests.unit.train.states import PHASE
from yulan.cli import main
from yulan.cli.continue_ import _columns, _named

OWN = ["--phase-file", "phase.yaml"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of someone who is not in a clone."""
    (tmp_path / "states").mkdir()
    (tmp_path / "phase.yaml").write_text(yaml.safe_dump(PHASE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "Give --phase, a phase of the clone's recipe, or --phase-file, one of your own"),
        (["--phase", "x", *OWN], 2, "Give --phase, a phase of the clone's recipe, or --phase-file, one of your own"),
        (["--phase", "x", "--data", "y"], 2, "--data, --licence and --tokenizer belong to --phase-file"),
        (OWN, 2, "--phase-file needs the text of its mix"),
        ([*OWN, "--data", "notes=a"], 6, "no machine is named. Choose one of: cpu-1, cpu-2"),
        ([*OWN, "--data", "a.jsonl", "--profile", "cpu-1"], 2, "Say which source 'a.jsonl' is of"),
        ([*OWN, "--data", "notes=a", "--data", "notes=b", "--profile", "cpu-1"], 2, "--data is given twice for the source notes"),
        ([*OWN, "--data", "notes=a", "--profile", "cpu-1"], 6, "holds no checkpoint"),
        (["--phase", "phase-02"], 6, "not inside a clone of this project"),
    ],
)
def test_wrong_words_are_answered(words: list[str], code: int, said: str, desk: Path):
    done = CliRunner().invoke(main, ["continue", "states", *words])
    assert done.exit_code == code
    assert said in " ".join(done.output.split())
    assert sorted(path.name for path in desk.iterdir()) == ["phase.yaml", "states"]


def test_a_path_alone_is_the_only_sources_and_a_path_may_have_an_equals_sign(desk: Path):
    (desk / "a=b.jsonl").write_text("")
    assert _named(["a=b.jsonl"], ["notes"], "--data") == {"notes": "a=b.jsonl"}
    assert _named(["MIT"], ["notes"], "--licence") == {"notes": "MIT"}
    assert _named(["notes=a=b.jsonl", "wiki=c"], ["notes", "wiki"], "--data") == {"notes": "a=b.jsonl", "wiki": "c"}


def test_a_column_is_a_sources_own_or_that_of_all():
    assert _columns([], ["notes", "wiki"]) == {"notes": "text", "wiki": "text"}
    assert _columns(["body", "wiki=abstract"], ["notes", "wiki"]) == {"notes": "body", "wiki": "abstract"}
    with pytest.raises(click.UsageError, match="--text-column names body and content for all sources"):
        _columns(["body", "content"], ["notes"])


def test_what_is_neither_a_folder_nor_an_address_is_refused():
    done = CliRunner().invoke(main, ["continue", "nowhere", "--phase", "phase-01"])
    assert done.exit_code == 2
    assert "'nowhere' is no folder; an address begins with hf://" in done.output

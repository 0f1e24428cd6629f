"""A few trials of each family of faults, and the harness itself; `make faults` plays them all."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.faults.__main__ import play
from tests.faults.rows import Result, Row, Trial, require, table

ROOT = Path(__file__).resolve().parents[2]


def made(play: object) -> Row:
    return Row(name="made-up", fault="it rains", how="a cloud", outcome="dry", trials=3, sample=1, play=play)


@pytest.mark.slow
def test_a_sample_of_every_family_ends_as_the_page_says():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--sample"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {name: int(good) for name, good, played in re.findall(r"^(\S+) +(\d+) of +(\d+) as stated", done.stdout, re.M)}
    assert rows["writer-kill"] == 40
    assert rows.keys() >= {"power-loss", "disk-error", "shard-harm", "run-kill", "signals", "rank-killed", "elastic", "hub"}


def test_a_trial_that_does_not_end_as_stated_is_told_with_the_way_to_play_it_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def rain(trial: Trial) -> None:
        require(trial.number != 1, "it is wet")

    result = play(made(rain), [0, 1, 2], SimpleNamespace(root=tmp_path), keep=False)
    assert result.failed == {1: "NotAsStatedError: it is wet"}
    assert "python -m tests.faults --only made-up --trial 1 --keep" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "made-up").iterdir()] == ["1"], "what it left can be looked at"


def test_the_table_tells_how_many_trials_ended_as_stated():
    result = Result(row=made(None), trials=3, failed={1: "wet"}, seconds=1.4)
    result.seen["drops"] += 2
    told = table([result])
    assert "| `made-up` | it rains | a cloud | dry | 3 | 2 | 1 |" in told
    assert "| all | | | | 3 | 2 | 1 |" in told
    assert "- `made-up`: drops 2" in told

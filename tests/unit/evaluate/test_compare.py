"""Two models on the same items, and criteria that were written before: on results of known numbers."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from yulan import digest, files
from yulan.cli import main
from yulan.errors import DataError, IntegrityError, RecipeError
from yulan.evaluate.ask import NOT_RUN
from yulan.evaluate.compare import compare
from yulan.evaluate.criteria import Judged, commit_of, judge, read_criteria, read_judged
from yulan.evaluate.evaluated import (
    NAME,
    SAMPLES,
    Evaluated,
    Machine,
    Subject,
    SuiteName,
    TaskResult,
    read_evaluated,
    write_evaluated,
    write_samples,
)
from yulan.evaluate.statement import statement
from yulan.evaluate.suite import Harness

SHA = "a" * 64
RUN = replace(NOT_RUN, state="run", title="t", data=SHA, prompt=SHA, prompts=SHA, shots=0, stderr=0.1, items=1)
NOW = "2026-06-01T00:00:00Z"


def write(folder: Path, tasks: dict[str, tuple[TaskResult, Sequence[dict[str, Any]]]], suite: str = "some") -> Path:
    """What `yulan evaluate` leaves."""
    found = {}
    for name, (task, rows) in tasks.items():
        found[name] = replace(task, log=write_samples(folder, name, list(rows))) if task.state == "run" else task
    made = Evaluated(
        format=1,
        suite=SuiteName(name=suite, sha256=SHA),
        harness=Harness(name="lm-eval", version="0"),
        subject=Subject(name="m", kind="llama", digest=SHA, phase=None, global_step=None, tokens=None, context=8),
        packages={},
        machine=Machine(isa="x", threads=1, precision="fp32", batch=1),
        limit=None,
        tasks=found,
    )
    write_evaluated(folder, made)
    return folder


def scored(scores: Sequence[float], **changed: Any) -> tuple[TaskResult, list[dict[str, Any]]]:
    rows = [{"task": "t", "item": n, "score": float(score)} for n, score in enumerate(scores)]
    return replace(RUN, value=float(np.mean(scores)), **changed), rows


def text(bits: Sequence[float], sizes: Sequence[int]) -> tuple[TaskResult, list[dict[str, Any]]]:
    rows = [{"task": "en", "item": n, "bits": b, "bytes": s} for n, (b, s) in enumerate(zip(bits, sizes, strict=True))]
    task = replace(RUN, metric="bits_per_byte", higher_is_better=False, value=sum(bits) / sum(sizes), prompt=None, prompts=None)
    return task, rows


def test_a_difference_between_paired_items_is_shown_and_one_within_chance_is_not(tmp_path: Path):
    draw = np.random.default_rng(1)
    base = (draw.random(400) < 0.5).astype(float)
    better = np.where(draw.random(400) < 0.2, 1.0, base)
    noise = np.where(draw.random(400) < 0.1, 1 - base, base)
    a = write(tmp_path / "a", {"up": scored(base), "same": scored(base), "noise": scored(base), "down": scored(better)})
    b = write(tmp_path / "b", {"up": scored(better), "same": scored(base), "noise": scored(noise), "down": scored(base)})
    found = compare(a, b).tasks
    assert {name: task.verdict for name, task in found.items()} == {
        "up": "b is better", "same": "no difference shown", "noise": "no difference shown", "down": "a is better",
    }  # fmt: skip
    up = found["up"]
    assert up.difference == pytest.approx(better.mean() - base.mean())
    assert up.low is not None
    assert up.high is not None
    # By the normal approximation of paired differences.
    half = 1.96 * (better - base).std(ddof=1) / 20
    assert up.low == pytest.approx(up.difference - half, abs=0.006)
    assert up.high == pytest.approx(up.difference + half, abs=0.006)
    assert (found["same"].low, found["same"].high) == (0.0, 0.0)
    assert compare(a, b) == compare(a, b)


def test_pairing_shows_what_two_separate_intervals_would_hide(tmp_path: Path):
    base = np.array([0.0, 1.0] * 50)
    better = base.copy()
    better[:20:2] = 1.0
    found = compare(write(tmp_path / "a", {"t": scored(base)}), write(tmp_path / "b", {"t": scored(better)})).tasks["t"]
    assert found.verdict == "b is better"
    apart = 1.96 * ((base.var(ddof=1) + better.var(ddof=1)) / 100) ** 0.5
    assert found.difference is not None
    assert found.difference < apart


def test_bits_per_byte_are_compared_by_documents_and_lower_is_better(tmp_path: Path):
    draw = np.random.default_rng(2)
    sizes = draw.integers(20, 2000, 60)
    bits = sizes * draw.normal(2.0, 0.3, 60)
    fewer = bits - sizes * 0.05
    a = write(tmp_path / "a", {"text": text(bits.tolist(), sizes.tolist())})
    b = write(tmp_path / "b", {"text": text(fewer.tolist(), sizes.tolist())})
    found = compare(a, b).tasks["text"]
    assert found.difference == pytest.approx(-0.05)
    assert (found.low, found.high) == (pytest.approx(-0.05), pytest.approx(-0.05))
    assert found.verdict == "b is better"


def test_rounding_is_no_difference_however_surely_it_is_measured(tmp_path: Path):
    sizes, bits = [100] * 50, [200.0] * 50
    a = write(tmp_path / "a", {"text": text(bits, sizes)})
    b = write(tmp_path / "b", {"text": text([each - 0.0005 for each in bits], sizes)})
    found = compare(a, b).tasks["text"]
    assert found.high is not None
    assert found.high < 0
    assert found.verdict == "no difference shown"


def test_what_was_asked_otherwise_is_not_compared(tmp_path: Path):
    other = "b" * 64
    ways = {
        "data": scored([1, 0], data=other),
        "prompt": scored([1, 0], prompt=other),
        "shots": scored([1, 0], shots=5),
        "metric": scored([1, 0], metric="acc_norm"),
        "gone": (replace(NOT_RUN, reason="no data"), []),
    }
    a = write(tmp_path / "a", dict.fromkeys(ways, scored([0, 1])))
    found = compare(a, write(tmp_path / "b", ways)).tasks
    assert {name: task.reason for name, task in found.items()} == {
        "data": "were asked different data",
        "prompt": "were asked by different prompts",
        "shots": "were shown different numbers of items",
        "metric": "are judged by different metrics",
        "gone": "b was not run: no data",
    }
    assert {task.verdict for task in found.values()} == {"not compared"}


def test_of_two_limits_the_items_that_both_were_asked_count(tmp_path: Path):
    a, b = write(tmp_path / "a", {"t": scored([1, 0] * 10)}), write(tmp_path / "b", {"t": scored([1] * 12)})
    found = compare(a, b).tasks["t"]
    assert (found.items, found.a, found.b) == (12, 0.5, 1.0)


def test_a_handful_of_items_decides_nothing(tmp_path: Path):
    a, b = write(tmp_path / "a", {"t": scored([0] * 9)}), write(tmp_path / "b", {"t": scored([1] * 9)})
    found = compare(a, b).tasks["t"]
    assert (found.verdict, found.reason) == ("not compared", "share 9 items, fewer than 10")


def test_rows_that_a_result_was_not_made_of_are_refused(tmp_path: Path):
    a, b = write(tmp_path / "a", {"t": scored([1, 0])}), write(tmp_path / "b", {"t": scored([1, 1])})
    log = b / SAMPLES / "t.jsonl"
    log.write_text(log.read_text(encoding="utf-8").replace("1.0", "0.0"), encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"t\.jsonl: is not what evaluated\.json was made of"):
        compare(a, b)
    with pytest.raises(DataError, match="answers suite 'other', not 'some'"):
        compare(a, write(tmp_path / "c", {"t": scored([1, 1])}, suite="other"))


def test_the_command_prints_a_table_or_json(tmp_path: Path):
    a, b = write(tmp_path / "a", {"t": scored([1, 0] * 5)}), write(tmp_path / "b", {"t": scored([1] * 10)})
    told = CliRunner().invoke(main, ["evaluate", "--compare", str(a), str(b)])
    assert told.output == "t  0.5000 -> 1.0000  +0.5000 [+0.2000, +0.8000]  b is better\n"
    told = CliRunner().invoke(main, ["evaluate", "--compare", str(a), str(b), "--json"])
    assert json.loads(told.output)["tasks"]["t"]["verdict"] == "b is better"


def criteria(path: Path, *rows: tuple[str, str, float], suite: str = "some") -> Path:
    some = [{"task": task, "metric": "acc", "direction": direction, "threshold": least} for task, direction, least in rows]
    path.write_text(yaml.safe_dump({"format": 1, "suite": suite, "criteria": some}), encoding="utf-8")
    return path


def judged(folder: Path, path: Path, started: str = NOW) -> Judged:
    made = read_evaluated(folder)
    read = read_criteria(path, "some", {name: task.metric for name, task in made.tasks.items()})
    return judge(read, path, made, folder, started)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "a", {"t": scored([1, 0]), "u": scored([1, 1]), "gone": (replace(NOT_RUN, reason="no data"), [])})


def test_a_verdict_names_criteria_and_result_by_digest(folder: Path, tmp_path: Path):
    path = criteria(tmp_path / "c.yaml", ("t", "at least", 0.5), ("u", "at most", 0.9), ("gone", "at least", 0.0))
    found = judged(folder, path)
    assert [row.verdict for row in found.rows] == ["pass", "fail", "not run"]
    assert not found.passed
    assert found.criteria == digest.of_file(path)
    assert found.evaluated == digest.of_file(folder / NAME)
    assert read_judged(folder) == found


def test_all_criteria_must_pass_and_one_that_was_not_run_does_not(folder: Path, tmp_path: Path):
    assert judged(folder, criteria(tmp_path / "c.yaml", ("t", "at least", 0.5), ("u", "at least", 1.0))).passed
    assert not judged(folder, criteria(tmp_path / "c.yaml", ("t", "at least", 0.5), ("gone", "at least", 0.0))).passed


def git(root: Path, *words: str, **env: str) -> None:
    told = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
    subprocess.run(told, cwd=root, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "HOME": str(root), **env})


def test_criteria_of_an_earlier_commit_are_told_from_later_and_edited_ones(folder: Path, tmp_path: Path):
    path = criteria(tmp_path / "c.yaml", ("t", "at least", 0.5))
    assert (judged(folder, path).commit, judged(folder, path).before) == (None, False)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "c.yaml")
    # A committer east of Greenwich: dates are compared in UTC.
    git(tmp_path, "commit", "-q", "-m", "criteria", GIT_COMMITTER_DATE="2026-06-01T07:00:00+08:00")
    found = judged(folder, path)
    assert found.commit is not None
    assert (found.committed, found.before) == ("2026-05-31T23:00:00Z", True)
    assert not judged(folder, path, started="2026-05-31T22:59:59Z").before
    criteria(path, ("t", "at least", 0.4))
    assert commit_of(path) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"suite": "report"}, "these criteria are for suite 'report'. Ask that one: --suite report"),
        ({"task": "tt"}, r"suite some has no task 'tt'. Did you mean 't'\?"),
        ({"metric": "f1"}, "task t is not judged by 'f1'. Write 'acc'"),
        ({"direction": "above"}, "'above' is not one of the known values"),
        ({"threshold": "high"}, "'high' is not of type number"),
    ],
)
def test_criteria_that_fit_no_suite_are_refused_before_anything_is_asked(tmp_path: Path, wrong: dict[str, Any], message: str):
    path = criteria(tmp_path / "c.yaml", ("t", "at least", 0.5))
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in wrong.items():
        (raw if key == "suite" else raw["criteria"][0])[key] = value
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        read_criteria(path, "some", {"t": "acc"})


@pytest.mark.parametrize(
    ("rows", "result"),
    [
        ([("t", "at least", 0.5)], "PASSED"),
        ([("t", "at least", 0.5), ("gone", "at least", 0.0)], "WARNED"),
        ([("t", "at least", 0.6), ("gone", "at least", 0.0)], "FAILED"),
    ],
)
def test_a_statement_is_an_in_toto_test_result_about_the_model(folder: Path, tmp_path: Path, rows: list[Any], result: str):
    found = judged(folder, criteria(tmp_path / "c.yaml", *rows))
    told = statement(read_evaluated(folder), found)
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    assert told["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert told["subject"] == [{"name": "m", "digest": {"sha256": SHA}}]
    assert told["predicate"]["result"] == result
    named = {each["name"]: each["digest"]["sha256"] for each in told["predicate"]["configuration"]}
    assert named == {"suite": SHA, "criteria": found.criteria, NAME: found.evaluated}
    tests = [name for key in ("passedTests", "warnedTests", "failedTests") for name in told["predicate"][key]]
    assert sorted(tests) == sorted(f"{task} acc" for task, _, _ in rows)


def test_a_result_obeys_its_schema(folder: Path):
    raw = json.loads((folder / NAME).read_text(encoding="utf-8"))
    raw["tasks"]["t"]["stderr"] = -1.0
    files.write_json(folder / NAME, raw)
    with pytest.raises(DataError, match=r"\$\.tasks\.t\.stderr"):
        read_evaluated(folder)

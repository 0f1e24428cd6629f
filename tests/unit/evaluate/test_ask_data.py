"""Data sets of a suite: a folder, a hub, a group's many configurations; what of them a result tells."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lm_eval.api.metrics import aggregate_subtask_metrics

from tests.unit.evaluate.suite_kit import ARC, CONTEXT, ROOT, Ground, asked, write_data_set
from yulan import digest, files
from yulan.evaluate.evaluated import SAMPLES, Evaluated, read_evaluated
from yulan.evaluate.prompts import leaves
from yulan.rehearsal import running_hub

ONLY = ("--only", "arc-easy", "--only", "gsm8k")
pytestmark = pytest.mark.usefixtures("own_environment")


def test_another_row_of_data_is_another_digest(made: tuple[Path, Evaluated], ground: Ground, tmp_path: Path):
    _, found = made
    changed = [dict(row) for row in ARC]
    changed[3]["question"] = "What is 3 and 4?"
    write_data_set(tmp_path / "data" / "allenai" / "ai2_arc", "ARC-Easy", {"train": ARC, "validation": ARC, "test": changed})
    other = asked(ground, tmp_path / "out", "--data", tmp_path / "data", "--only", "arc-easy")
    assert other.tasks["arc-easy"].prompt == found.tasks["arc-easy"].prompt
    assert other.tasks["arc-easy"].data != found.tasks["arc-easy"].data
    assert other.tasks["arc-easy"].prompts != found.tasks["arc-easy"].prompts


def test_a_limit_is_on_the_record_and_other_tasks_say_that_nobody_asked(ground: Ground, tmp_path: Path):
    found = asked(ground, tmp_path / "out", "--only", "arc-easy", "--limit", 2)
    assert (found.limit, found.tasks["arc-easy"].items) == (2, 2)
    assert found.tasks["gsm8k"].reason == "not asked for"


def test_answers_are_as_long_as_half_of_a_short_context(made: tuple[Path, Evaluated]):
    _, found = made
    assert found.tasks["gsm8k"].new_tokens == CONTEXT // 2
    assert found.tasks["arc-easy"].new_tokens is None


@pytest.mark.slow
def test_a_group_is_asked_task_by_task_and_scored_over_all_items(ground: Ground, tmp_path: Path):
    """MMLU in its 57 configurations, two to four items each."""
    letters = ["one", "two", "three", "four"]
    for number, (leaf, _) in enumerate(leaves("mmlu/default", "mmlu")):
        rows = [{"question": f"{leaf}, {n}?", "choices": letters, "answer": (n + number) % 4} for n in range(5)]
        write_data_set(
            tmp_path / "data" / "cais" / "mmlu",
            leaf.removeprefix("mmlu_"),
            {"test": rows[: 2 + number % 3], "validation": rows, "dev": rows},
        )
    found = asked(ground, tmp_path / "out", "--data", tmp_path / "data", "--only", "mmlu").tasks["mmlu"]
    rows = files.complete_rows(tmp_path / "out" / SAMPLES / "mmlu.jsonl")
    groups = {leaf: [row["score"] for row in rows if row["task"] == leaf] for leaf, _ in leaves("mmlu/default", "mmlu")}
    assert (found.items, found.shots) == (len(rows), 5)
    assert {len(scores) for scores in groups.values()} == {2, 3, 4}
    means = {leaf: sum(scores) / len(scores) for leaf, scores in groups.items()}
    assert found.value == pytest.approx(aggregate_subtask_metrics(list(means.values()), [len(s) for s in groups.values()]))
    assert found.stderr == pytest.approx(sum(len(s) * np.var(s, ddof=1) for s in groups.values()) ** 0.5 / len(rows))


@pytest.mark.slow
def test_data_sets_come_from_a_hub_where_one_is_named(made: tuple[Path, Evaluated], ground: Ground, tmp_path: Path):
    """A task of the report, unchanged, on a data set of its schema that a hub serves under its id."""
    from huggingface_hub import HfApi

    _, found = made
    with running_hub(tmp_path / "hub") as served:
        api = HfApi(endpoint=served.url, token=served.token)
        for name in ("allenai/ai2_arc", "openai/gsm8k"):
            api.create_repo(name, repo_type="dataset")
            api.upload_folder(repo_id=name, repo_type="dataset", folder_path=ground.data / name)
        words = [sys.executable, "-m", "yulan.cli", "evaluate", ground.checkpoint, "--suite", "report", "--from", served.url]
        words += ["--into", tmp_path / "out", *ONLY, "--only", "hellaswag"]
        kept = {key: value for key, value in os.environ.items() if not key.endswith("_OFFLINE")}
        env = {**kept, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run([str(w) for w in words], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    other = read_evaluated(tmp_path / "out")
    for name in ("arc-easy", "gsm8k"):
        assert (other.tasks[name].data, other.tasks[name].prompts) == (found.tasks[name].data, found.tasks[name].prompts)
        assert other.tasks[name].value == found.tasks[name].value
    assert other.tasks["hellaswag"].reason == "Rowan/hellaswag cannot be loaded (DatasetNotFoundError)"
    assert digest.of_file(tmp_path / "out" / SAMPLES / "arc-easy.jsonl") == other.tasks["arc-easy"].log

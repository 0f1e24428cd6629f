"""The shipped suite: every task of the report, asked as the pinned lm-eval asks it."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import lm_eval
import pytest

from yulan.cli import main
from yulan.errors import StateError
from yulan.evaluate.criteria import read_criteria
from yulan.evaluate.prompts import leaves, prompt_digest, require_prompt
from yulan.evaluate.suite import load_suite, suite_names

ROOT = Path(__file__).resolve().parents[3]
TITLES = {
    "LAMBADA", "MMLU", "CMMLU", "C-Eval", "HellaSwag", "WinoGrande", "StoryCloze", "ARC-e", "ARC-c", "RACE-m", "RACE-h",
    "GSM8K", "MATH-500", "HumanEval", "MBPP", "RULER",
}  # fmt: skip
LONG, SHORT = "YuLan-Mini (28K)", "YuLan-Mini-4K"


def test_the_report_names_every_task_of_the_papers_tables_with_its_data():
    suite = load_suite("report")
    assert suite_names() == ["report"]
    assert {task.title for task in suite.tasks.values()} == TITLES
    assert [name for name, task in suite.tasks.items() if not task.datasets] == ["ruler"]
    assert (suite.harness.name, suite.harness.version) == ("lm-eval", "0.4.13")


def test_published_figures_stand_beside_the_tasks():
    tasks = load_suite("report").tasks
    assert tasks["gsm8k"].published[LONG] == 68.46
    assert tasks["gsm8k"].published["YuLan-Mini-Phase5"] == 3.41
    assert all(LONG in task.published for task in tasks.values())
    assert [name for name, task in tasks.items() if SHORT not in task.published] == ["ruler"]


@pytest.mark.parametrize("name", load_suite("report").tasks)
def test_the_installed_harness_asks_as_the_suite_says(name: str):
    require_prompt(name, load_suite("report").tasks[name])


def test_where_the_harness_lies_changes_no_digest(tmp_path: Path):
    (tmp_path / "link").symlink_to(Path(lm_eval.__file__).parents[1], target_is_directory=True)
    asked = "from yulan.evaluate import prompts, suite; print(prompts.prompt_digest(suite.load_suite('report').tasks['mbpp']))"
    words = {"PYTHONPATH": f"{tmp_path / 'link'}:{ROOT}"}
    told = subprocess.run([sys.executable, "-c", asked], env=os.environ | words, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == load_suite("report").tasks["mbpp"].prompt


def test_whatever_makes_a_prompt_changes_its_digest():
    task = load_suite("report").tasks["gsm8k"]
    assert prompt_digest(dataclasses.replace(task, shots=5)) != task.prompt
    assert prompt_digest(dataclasses.replace(task, override={"description": "Think."})) != task.prompt
    assert prompt_digest(dataclasses.replace(task, task="gsm8k_cot")) != task.prompt
    assert prompt_digest(dataclasses.replace(task, override={"metadata": {"x": 1}})) == task.prompt
    ruler = load_suite("report").tasks["ruler"]
    assert prompt_digest(dataclasses.replace(ruler, override={"metadata": {"max_seq_lengths": [4096]}})) != ruler.prompt


def test_a_harness_that_asks_otherwise_is_refused():
    task = dataclasses.replace(load_suite("report").tasks["arc-easy"], prompt="0" * 64)
    with pytest.raises(StateError, match="task arc-easy: the installed lm-eval asks this otherwise than the suite says"):
        require_prompt("arc-easy", task)
    with pytest.raises(StateError, match=r"lm-eval has no task 'arc_hard' in arc\. Install the version"):
        leaves("arc", "arc_hard")


def test_a_group_is_all_of_its_tasks_in_its_order():
    names = [name for name, _ in leaves("mmlu/default", "mmlu")]
    assert len(names) == len(set(names)) == 57
    assert len(leaves("cmmlu", "cmmlu")) == 67
    assert len(leaves("ceval", "ceval-valid")) == 52
    assert len(leaves("ruler", "ruler")) == 13


def test_the_guide_shows_criteria_that_fit_the_suite_and_options_that_exist(tmp_path: Path):
    guide = (ROOT / "docs" / "guides" / "evaluate.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", guide, re.S)
    path = tmp_path / "criteria.yaml"
    path.write_text(shown, encoding="utf-8")
    found = read_criteria(path, "report", {name: task.metric for name, task in load_suite("report").tasks.items()})
    assert found.criteria[0].task == "gsm8k"
    command = main.get_command(None, "evaluate")
    assert command is not None
    known = {option for each in command.params for option in each.opts}
    lines = list(re.findall(r"yulan evaluate [^`\n#]*", guide))
    assert lines
    assert {word for line in lines for word in line.split() if word.startswith("--")} <= known
    assert set(re.findall(r"`(--[a-z]+)", guide)) <= known


def test_the_guides_links_are_there():
    for page in ("guides/evaluate.md", "formats/evaluated.md"):
        path = ROOT / "docs" / page
        links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
        assert not [link for link in links if not link.startswith("http") and not (path.parent / link).exists()]

"""What makes a prompt in lm-eval and judges the answer, as data with a digest: YAML, and the Python files that it calls."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import lm_eval.tasks
from lm_eval.tasks._index import Kind, TaskIndex
from lm_eval.tasks._yaml_loader import load_yaml

from yulan import digest
from yulan.errors import StateError
from yulan.evaluate.suite import SuiteTask

# The loader names files by their real paths; an environment may be a link to another folder.
TASKS = Path(lm_eval.tasks.__file__).resolve().parent
SILENT = {"metadata", "tag", "group", "task_alias", "dataset_path", "dataset_name", "dataset_kwargs"}
"""Keys that neither prompt nor verdict depends on; the data has a digest of its own."""


@cache
def _index(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = TaskIndex.build([TASKS / folder])
    return found


def leaves(folder: str, name: str) -> list[tuple[str, Path]]:
    """(name, YAML) of a task, or of each task in a group, in the group's order.

    Raises: StateError: this lm-eval has no such task.
    """
    found = list(_leaves(_index(folder), name))
    if not found:
        cure = "Install the version that the suite names: pip install -r requirements.lock"
        raise StateError(f"lm-eval has no task {name!r} in {folder}", where="evaluate", cure=cure)
    return found


def _leaves(index: Mapping[str, Any], name: str) -> Iterator[tuple[str, Path]]:
    entry = index.get(name)
    if entry is None:
        return
    if entry.kind is Kind.GROUP:
        for member in load_yaml(entry.yaml_path, resolve_func=False)["task"]:
            yield from _leaves(index, member if isinstance(member, str) else member.get("task", member.get("group")))
    elif entry.kind is Kind.TAG:
        for member in sorted(entry.tags):
            yield from _leaves(index, member)
    else:
        yield name, entry.yaml_path


def prompt_digest(task: SuiteTask) -> str:
    """sha256 of the definition of a suite's task in the lm-eval that is installed.

    Raises: StateError: it has no such task.
    """
    told = {}
    for name, path in leaves(task.folder, task.task):
        config = load_yaml(path, resolve_func=False) | {"num_fewshot": task.shots} | dict(task.override)
        told[name] = {key: _told(value) for key, value in config.items() if key not in SILENT}
    # What a task makes text from, as lengths, is no matter of a data set.
    made = {} if task.datasets else {"metadata": dict(task.override.get("metadata", {}))}
    return digest.of_json({"tasks": told} | made)


def _told(value: Any) -> Any:
    """A value of lm-eval's YAML; a function as its name and the digest of its file, wherever that lies."""
    if isinstance(value, dict):
        return {str(key): _told(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_told(each) for each in value]
    if isinstance(value, str) and value.startswith(f"{TASKS}/"):
        file, _, function = value.rpartition(".")
        return {"function": function, "file": digest.of_file(Path(f"{file}.py"))}
    return value


def require_prompt(name: str, task: SuiteTask) -> None:
    """Raises: StateError: the installed lm-eval asks otherwise than the suite was written for."""
    if prompt_digest(task) != task.prompt:
        raise StateError(
            "the installed lm-eval asks this otherwise than the suite says",
            where=f"task {name}",
            cure="Install the version that the suite names: pip install -r requirements.lock",
        )

"""A suite's task made ready to be asked: lm-eval's tasks with their data, or the reason why it cannot be."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks._yaml_loader import load_yaml

from yulan import digest
from yulan.data.sandbox import why_not
from yulan.data.tokenizer import CONFIG
from yulan.evaluate.code import in_sandbox
from yulan.evaluate.prompts import leaves, require_prompt
from yulan.evaluate.suite import SuiteTask
from yulan.schema import load_json

SEED = 1234
"""lm-eval's own for the choice of shots."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    tasks: Mapping[str, ConfigurableTask]
    """lm-eval's, by name."""
    data: str
    """sha256 of the rows that are shown and asked."""
    new_tokens: int | None
    """Most tokens of an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """Where the data sets of a suite are to be had."""

    folder: Path | None
    """Holds them as OWNER/NAME, each as its download from a hub."""
    hub: bool
    """Whether to ask the hub of HF_ENDPOINT for those that are not in it."""
    cache: Path
    """A fresh folder. In a common one `datasets` finds a folder's tables again by its name, whatever it holds by now."""


def make_ready(name: str, task: SuiteTask, data: Data, tokenizer: Path, context: int, say: Say) -> Asked | str:
    """The task, or why it cannot be asked. The folder `tokenizer` measures the text of tasks that make their own.

    Raises: StateError: the installed lm-eval asks otherwise than the suite says.
    """
    require_prompt(name, task)
    places = {path: _place(path, data) for path in task.datasets}
    if missing := [path for path, place in places.items() if place is None]:
        return f"no data: {', '.join(missing)} is not in the data folder, and no hub was named"
    longest = max(task.override.get("metadata", {}).get("max_seq_lengths", [0]))
    if longest > context:
        return f"makes texts of {longest:,} tokens, and the context holds {context:,}"
    if not task.datasets and "auto_map" in load_json(tokenizer / CONFIG):
        return "lm-eval would run the code that the tokenizer brings along"
    made: dict[str, ConfigurableTask] = {}
    try:
        with in_sandbox():
            for leaf, path in leaves(task.folder, task.task):
                config = load_yaml(path) | {"num_fewshot": task.shots} | dict(task.override)
                made[leaf] = _make(config, places, data.cache, tokenizer, context)
    except ImportError as error:
        return f"needs packages that are not installed: {str(error).split('. ')[0]}"
    except Exception as error:  # what lm-eval, datasets and a hub's client raise for data that is not there shares no base
        say(f"{name}: {error}")
        return f"{', '.join(task.datasets) or task.task} cannot be loaded ({error.__class__.__name__})"
    unsafe = any(each.config.unsafe_code for each in made.values())
    if unsafe and (reason := why_not()) is not None:
        return f"its answers are programs, and there is no sandbox here: {reason}"
    lengths = [each.config.generation_kwargs["max_gen_toks"] for each in made.values() if each.OUTPUT_TYPE == "generate_until"]
    return Asked(tasks=made, data=_rows_digest(made), new_tokens=max(lengths, default=None))


def _place(path: str, data: Data) -> str | None:
    """What lm-eval loads a data set by: a folder, or its id on a hub; None where it is not to be had."""
    if data.folder is not None and (data.folder / path).is_dir():
        return os.fspath((data.folder / path).resolve())
    return path if data.hub else None


def _make(
    config: dict[str, Any], places: Mapping[str, str | None], cache: Path, tokenizer: Path, context: int
) -> ConfigurableTask:
    for key in ("tag", "group", "task_list", "task_alias"):
        config.pop(key, None)
    if config.get("dataset_path") in places:
        config["dataset_path"] = places[config["dataset_path"]]
        config["dataset_kwargs"] = {**(config.get("dataset_kwargs") or {}), "cache_dir": os.fspath(cache)}
    else:
        config["metadata"] = {**config.get("metadata", {}), "tokenizer": os.fspath(tokenizer)}
    if config["output_type"] == "generate_until":
        # lm-eval leaves 256 tokens where a task names no number, and gives up where a model's context holds no more.
        asked = dict(config.get("generation_kwargs") or {})
        config["generation_kwargs"] = asked | {"max_gen_toks": min(asked.get("max_gen_toks", 256), context // 2)}
    made = ConfigurableTask(config=config)
    made.set_fewshot_seed(SEED)
    return made


def _rows_digest(tasks: Mapping[str, ConfigurableTask]) -> str:
    """sha256 of every row of the splits that are asked and shown, as they were loaded."""
    told: dict[str, dict[str, str]] = {}
    for name, task in tasks.items():
        config, shots = task.config, task.fewshot_cfg
        splits = [config.test_split or config.validation_split]
        if config.num_fewshot and (shots.split or not shots.samples):
            splits.append(shots.split or config.training_split or config.validation_split)
        told[name] = {split: rows_digest(task.dataset[split]) for split in splits if split}
    return digest.of_json(told)


def rows_digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """sha256 of rows in their order, each as canonical JSON."""
    return digest.of_parts(digest.canonical(row) + b"\n" for row in rows)

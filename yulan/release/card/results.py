"""evaluation.json in the two forms that the Hub reads: `model-index` in a card's header, and `.eval_results/*.yaml`.

The first takes any task and is called legacy by the client; the second takes only data sets that the Hub registered as
benchmarks (huggingface.co/docs/hub/eval-results). Neither says `verified`: only the Hub's own runs may.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from yulan import files
from yulan.recipe import Book
from yulan.release.card.scores import EVALUATION

FOLDER = ".eval_results"
BITS = "bits_per_byte"


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """A benchmark of the Hub."""

    dataset: str
    task: str
    """Among those of the data set's eval.yaml."""
    items: int
    """Of its test split. A score over fewer is not the benchmark's, and is left out."""


REGISTERED: Mapping[str, Registered] = {"gsm8k": Registered(dataset="openai/gsm8k", task="gsm8k", items=1319)}
"""lm-eval's name of the task -> the benchmark. One by one: an entry for a data set that is none is refused by the Hub."""


def model_index(name: str, revision: str, evaluation: Mapping[str, Any], hubs: Mapping[str, str]) -> str:
    """YAML lines of a card's header; none where nothing was measured.

    `name` is OWNER/NAME; `hubs` maps a task to its data set on the Hub, where one is known.
    """
    results = [
        _result(
            {"name": task, "type": hubs.get(task, task), "args": {"num_few_shot": told["shots"], "items": told["items"]}},
            {"type": told["metric"], "value": told["value"], "name": told["metric"]},
        )
        for task, told in evaluation["tasks"].items()
    ]
    results += [
        _result(
            {"name": f"held-out text, {family}", "type": f"{name}-data"},
            {"type": BITS, "value": told[BITS], "name": "bits per byte"},
        )
        for family, told in evaluation["held_out"].items()
    ]
    index = {"model-index": [{"name": f"{name.partition('/')[2]} {revision}", "results": results}]}
    return yaml.safe_dump(index, sort_keys=False, allow_unicode=True, width=1000) if results else ""


def hubs_of(book: Book) -> dict[str, str]:
    """Task -> its data set on the Hub, of those that the recipe names there."""
    known = book.sources.benchmarks
    return {task: hub for task, each in book.recipe.evaluate.tasks.items() if (hub := known[each.benchmark].hub)}


def _result(dataset: dict[str, Any], metric: dict[str, Any]) -> dict[str, Any]:
    return {"task": {"type": "text-generation"}, "dataset": dataset, "metrics": [metric]}


def registered(name: str, revision: str, evaluation: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """File below `.eval_results` -> entries, of registered benchmarks that were asked whole; in percent, as the Hub's are."""
    found = {}
    for task, told in evaluation["tasks"].items():
        known = REGISTERED.get(task)
        if known is not None and told["items"] == known.items:
            entry = {
                "dataset": {"id": known.dataset, "task_id": known.task},
                "value": round(100 * told["value"], 2),
                "source": {"url": f"https://huggingface.co/{name}/blob/{revision}/{EVALUATION}", "name": EVALUATION},
                "notes": f"{told['shots']}-shot, {told['metric']}",
            }
            found[f"{task}.yaml"] = [entry]
    return found


def write_results(folder: Path, results: Mapping[str, list[dict[str, Any]]]) -> None:
    for name, entries in results.items():
        files.write_text(folder / FOLDER / name, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))

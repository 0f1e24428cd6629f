"""Put tasks to a model through lm-eval, and make a score and one row an item of what it says."""

import logging
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

from yulan import digest
from yulan.errors import DataError
from yulan.evaluate.asked import Asked
from yulan.evaluate.subject import Opened


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    value: float
    stderr: float | None
    higher_is_better: bool
    data: str
    """sha256 of the rows that were shown and asked."""
    prompts: str | None
    """sha256 of all prompts as they were put; None: text is measured, not asked."""
    new_tokens: int | None
    """Most tokens of an answer."""
    rows: list[dict[str, Any]]
    """One an item; no text of the data set but what the model repeats of it."""


class Engine(HFLM):
    """lm-eval's own way to ask a model of transformers; it draws bars in a terminal only."""

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=not sys.stderr.isatty())
        return found

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        found: list[str] = super().generate_until(requests, disable_tqdm=not sys.stderr.isatty())
        return found


def engine(opened: Opened, batch: int) -> Engine:
    # It warns of what is meant here: a model that is loaded already, data from a folder, shots that a task has no split for.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return Engine(
        pretrained=opened.model,
        tokenizer=opened.tokenizer,
        backend="causal",
        batch_size=batch,
        max_length=opened.subject.context,
    )


def put(lm: LM, asked: Asked, metric: str, filtered: str, limit: int | None) -> Answered:
    """Ask every item, or the first `limit` of each task.

    Raises: DataError: the tasks have no such metric or filter.
    """
    told: Any = evaluate(
        lm,
        {"tasks": dict(asked.tasks), "groups": {}, "group_map": {}},
        limit=limit,
        bootstrap_iters=0,
        log_samples=True,
        confirm_run_unsafe_code=True,
    )
    rows, prompts = [], []
    for name, samples in told["samples"].items():
        for sample in samples:
            if sample["filter"] == filtered:
                prompts.append(_digest(sample["arguments"]))
                rows.append(_row(name, sample, prompts[-1], metric))
    if not rows:
        raise DataError(f"no answer has passed a filter {filtered!r}", where="evaluate", cure="Correct the suite's filter")
    better = told["higher_is_better"]
    return Answered(
        value=math.fsum(row["score"] for row in rows) / len(rows),
        stderr=standard_error(rows),
        higher_is_better=all(better[name].get(each, True) for name in better for each in metric.split("|")),
        data=asked.data,
        prompts=digest.of_json(prompts),
        new_tokens=asked.new_tokens,
        rows=rows,
    )


def _digest(arguments: Sequence[Sequence[Any]]) -> str:
    """sha256 of what a model is given for one item: every context with what follows or how to go on."""
    return digest.of_json([[str(part) if not isinstance(part, dict) else part for part in each] for each in arguments])


def _row(name: str, sample: Mapping[str, Any], prompt: str, metric: str) -> dict[str, Any]:
    found = [sample[each] for each in metric.split("|") if sample.get(each, -1) != -1]
    if not found:
        raise DataError(f"an answer has no metric {metric!r}", where=f"task {name}", cure="Correct the suite's metric")
    return {
        "task": name,
        "item": sample["doc_id"],
        "data": sample["doc_hash"],
        "prompt": prompt,
        "output": [each[0] if len(each) == 1 else each for each in sample["resps"]],
        "score": float(found[0]),
    }


def standard_error(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Of the mean over items of several tasks, each a stratum: sum of n_t s_t^2 over n^2. None of a task with one item."""
    groups: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        groups[row["task"]].append(row["score"])
    if min(len(each) for each in groups.values()) < 2:
        return None
    spread = 0.0
    for scores in groups.values():
        mean = math.fsum(scores) / len(scores)
        spread += len(scores) * math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1)
    return math.sqrt(spread) / len(rows)

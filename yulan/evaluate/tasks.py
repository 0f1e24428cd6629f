"""Benchmarks through lm-eval, on items of our own files: its hooks are given the data, nothing is downloaded."""

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from lm_eval.api.model import TemplateLM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate

from yulan.data.benchmarks import Item
from yulan.data.tokenizer import Codec
from yulan.errors import DataError
from yulan.evaluate.result import Answers
from yulan.evaluate.runner import Ids, Runner
from yulan.recipe.outcome import Task

METRIC = "acc"
"""Whether the right choice is the likeliest."""
ASKED, SHOTS = "asked", "shots"
TEMPLATE: dict[str, Any] = {
    "fewshot_config": {"sampler": "first_n"},
    "output_type": "multiple_choice",
    "doc_to_text": "question",
    "doc_to_choice": "choices",
    "doc_to_target": "answer",
    "metric_list": [{"metric": METRIC, "aggregation": "mean", "higher_is_better": True}],
}
"""How an item is put and judged."""

Request = tuple[tuple[str, str], list[int], list[int]]
"""(context, continuation) as text, then the ids of each."""


class Model(TemplateLM):
    """Our decoder as lm-eval calls it; it is asked for likelihoods only."""

    def __init__(self, runner: Runner, codec: Codec) -> None:
        super().__init__()
        self._runner, self._codec = runner, codec

    @property
    def eot_token_id(self) -> int:
        return self._codec.eos_id

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        return encode(self._codec, string).tolist()

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return found

    def _loglikelihood_tokens(self, requests: list[Request], **_: Any) -> list[tuple[float, bool]]:
        """(log likelihood of the continuation in nats, whether it is the greedy one); the context is cut on its left."""
        rows = [np.array([*context, *wanted], np.int64)[-self._runner.context - 1 :] for _, context, wanted in requests]
        # Choices of one token share their input.
        shared: dict[bytes, list[int]] = {}
        for index, row in enumerate(rows):
            shared.setdefault(row[:-1].tobytes(), []).append(index)
        groups = list(shared.values())
        found: dict[int, tuple[float, bool]] = {}
        for number, hidden_TD in self._runner.each([rows[group[0]][:-1] for group in groups]):
            for index in groups[number]:
                wanted_C = torch.from_numpy(rows[index][1:][-len(requests[index][2]) :]).to(hidden_TD.device)
                logits_CV = self._runner.decoder.logits(hidden_TD[-len(wanted_C) :]).double()
                chosen_C = logits_CV.log_softmax(-1).gather(-1, wanted_C.unsqueeze(-1))
                found[index] = float(chosen_C.sum()), bool((logits_CV.argmax(-1) == wanted_C).all())
        return [found[index] for index in range(len(rows))]

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        raise NotImplementedError("held-out text is measured in held_out.py")

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        raise NotImplementedError("no task of ours generates")


def encode(codec: Codec, text: str) -> Ids:
    """[bos] and the text's ids: how a document begins, without its end."""
    return codec.encode([text])[0][:-1]


def ask(
    runner: Runner, codec: Codec, tasks: Mapping[str, Task], items: Mapping[str, Sequence[Item]]
) -> tuple[dict[str, Answers], list[dict[str, Any]]]:
    """Put each task's first `limit` items of its benchmark to the decoder; the shots are the items after them.

    Returns: the result of each task, and a row for each item: what was likely, by choice, in nats.
    Raises: DataError: too few items.
    """
    if not tasks:
        return {}, []
    # It warns of what is meant here: data from a callable.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    made = {name: make_task(name, task, items[task.benchmark]) for name, task in tasks.items()}
    told: Any = evaluate(Model(runner, codec), {"tasks": made, "groups": {}, "group_map": {}}, log_samples=True)
    answers, rows = {}, []
    for name, task in tasks.items():
        result, samples = told["results"][name], told["samples"][name]
        answers[name] = Answers(
            metric=METRIC,
            value=result[f"{METRIC},none"],
            stderr=result[f"{METRIC}_stderr,none"],
            shots=task.shots,
            items=len(samples),
        )
        rows += [
            {
                "task": name,
                "item": sample["doc"]["id"],
                "answer": sample["doc"]["answer"],
                "loglikelihoods": [value for value, _ in sample["filtered_resps"]],
                METRIC: sample[METRIC],
            }
            for sample in samples
        ]
    return answers, rows


def make_task(name: str, task: Task, items: Sequence[Item]) -> ConfigurableTask:
    """lm-eval's task of a recipe's.

    Raises: DataError: too few items.
    """
    asked, shots = items[: task.limit], items[task.limit : task.limit + task.shots]
    if len(asked) < 2 or len(shots) < task.shots:
        raise DataError(
            f"{len(items)} items are too few for a limit of {task.limit} and {task.shots} shots",
            where=f"benchmark {task.benchmark}",
            cure=f"Lower $.evaluate.tasks.{name}.limit or shots",
        )
    splits = {ASKED: _rows(asked), SHOTS: _rows(shots or asked)}
    return ConfigurableTask(
        config={
            "task": name,
            "custom_dataset": lambda **_: splits,
            "test_split": ASKED,
            "fewshot_split": SHOTS,
            "num_fewshot": task.shots,
            **deepcopy(TEMPLATE),
        }
    )


def _rows(items: Sequence[Item]) -> Dataset:
    return Dataset.from_list(
        [{"id": i.id, "question": i.question, "choices": list(i.choices), "answer": i.answer} for i in items]
    )

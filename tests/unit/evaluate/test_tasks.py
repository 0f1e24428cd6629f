import math
from collections.abc import Callable, Mapping

import pytest
import torch

from yulan.data.benchmarks import Item
from yulan.data.tokenizer import Codec
from yulan.errors import DataError
from yulan.evaluate.runner import Runner
from yulan.evaluate.tasks import ask
from yulan.recipe.outcome import Task


def tasks(shots: int = 0, limit: int = 6) -> Mapping[str, Task]:
    return {"sums": Task(benchmark="numbers", shots=shots, limit=limit)}


def likelihood(runner: Runner, codec: Codec, before: str, choice: str) -> float:
    """By hand, of one sequence: nats of ` choice` after `before`."""
    ids = torch.from_numpy(codec.encode([f"{before} {choice}"])[0][:-1])
    kept = ids[-runner.context - 1 :]
    length, wanted = len(kept) - 1, len(f" {choice}".encode())
    edges = torch.tensor([0, length], dtype=torch.int32)
    hidden = runner.decoder(kept[:-1], torch.arange(length), edges, runner.rope_theta, "sdpa")
    likely = runner.decoder.logits(hidden).double().log_softmax(-1)
    return sum(float(likely[at, kept[at + 1]]) for at in range(length - wanted, length))


def test_accuracy_and_its_standard_error_are_those_of_the_items(runner: Callable[..., Runner], codec: Codec, items: list[Item]):
    some = runner(3)
    answers, rows = ask(some, codec, tasks(), {"numbers": items})
    hits = []
    for item, row in zip(items[:6], rows, strict=True):
        by_hand = [likelihood(some, codec, item.question, choice) for choice in item.choices]
        assert row["loglikelihoods"] == pytest.approx(by_hand, rel=1e-5)
        assert (row["task"], row["item"], row["answer"]) == ("sums", item.id, item.answer)
        hits.append(float(by_hand.index(max(by_hand)) == item.answer))
        assert row["acc"] == hits[-1]
    mean = sum(hits) / 6
    found = answers["sums"]
    assert (found.metric, found.items, found.shots) == ("acc", 6, 0)
    assert found.value == pytest.approx(mean)
    assert found.stderr == pytest.approx(math.sqrt(sum((hit - mean) ** 2 for hit in hits) / 5 / 6))


def test_a_question_longer_than_the_context_loses_its_beginning(runner: Callable[..., Runner], codec: Codec, items: list[Item]):
    short = runner(3, context=12)
    _, rows = ask(short, codec, tasks(limit=2), {"numbers": items})
    assert rows[0]["loglikelihoods"] == pytest.approx(
        [likelihood(short, codec, items[0].question, choice) for choice in items[0].choices], rel=1e-5
    )


def test_choices_that_share_their_input_are_told_apart(runner: Callable[..., Runner], codec: Codec):
    some = runner(3)
    letters = [Item(id=f"q{n}", question=f"Which of {n}?\nAnswer:", choices=("x", "y", "z"), answer=n) for n in range(3)]
    _, rows = ask(some, codec, tasks(), {"numbers": letters})
    for item, row in zip(letters, rows, strict=True):
        by_hand = [likelihood(some, codec, item.question, choice) for choice in item.choices]
        assert row["loglikelihoods"] == pytest.approx(by_hand, rel=1e-5)


def test_shots_are_items_that_are_not_asked(runner: Callable[..., Runner], codec: Codec, items: list[Item]):
    some = runner(3, context=500)
    answers, rows = ask(some, codec, tasks(shots=2), {"numbers": items})
    shown = "".join(f"{item.question} {item.choices[item.answer]}\n\n" for item in items[6:8])
    by_hand = [likelihood(some, codec, shown + items[0].question, choice) for choice in items[0].choices]
    assert rows[0]["loglikelihoods"] == pytest.approx(by_hand, rel=1e-5)
    assert answers["sums"].shots == 2


def test_a_benchmark_with_too_few_items_is_told(runner: Callable[..., Runner], codec: Codec, items: list[Item]):
    with pytest.raises(DataError, match=r"numbers: 12 items are too few for a limit of 11 and 2 shots\. Lower \$\.evaluate"):
        ask(runner(3), codec, tasks(shots=2, limit=11), {"numbers": items})
    with pytest.raises(DataError, match="1 items are too few"):
        ask(runner(3), codec, tasks(), {"numbers": items[:1]})

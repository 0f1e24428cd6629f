"""Families of questions, a model made here that reads as GGUF, and what becomes of its answers."""

import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from yulan import digest
from yulan.data.synthesize import INDEX, REJECTED, Families, synthesize
from yulan.data.synthesize.checks import verdicts
from yulan.data.synthesize.engine import Answer, Engine, Request, Sampling
from yulan.data.synthesize.families import Ask, asks
from yulan.data.synthesize.forms import shape, whole
from yulan.data.synthesize.ledger import Ledger
from yulan.data.synthesize.prompts import read_template
from yulan.errors import DataError, RecipeError
from yulan.recipe.sources import Source
from yulan.recipe.synthesis import Family, Synthesize

SUMS = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
TEMPLATE = (
    "Question: State the final answer to the following arithmetic problem: 1 + 1 =\nAnswer: 2\n\nQuestion: {question}\nAnswer:"
)


def family(**changes: object) -> Family:
    keys: dict[str, object] = {
        "task": "chain_sum",
        "rows": 8,
        "samples": 1,
        "max_new_tokens": 4,
        "temperature": 0.0,
        "top_p": 1.0,
    }
    return Family(**{**keys, "stop": ("\n",), "check": "task", "options": SUMS, **changes})  # type: ignore[arg-type]


def settings(**families: Family) -> Synthesize:
    return Synthesize(model=None, batch=3, seed=7, min_yield=0.2, judge=None, families=families)


def made(asked: Synthesize, tmp_path: Path, prompts: Path, engine: Engine, sources: dict[str, Source] | None = None) -> Families:
    ledger = Ledger(tmp_path / "ledger")
    try:
        return synthesize(asked, sources or {}, tmp_path, prompts, engine, ledger, tmp_path / "data")
    finally:
        os.close(ledger.lock)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    folder = tmp_path / "prompts"
    folder.mkdir()
    for name in ("sums", "passages"):
        (folder / f"{name}.txt").write_text(TEMPLATE if name == "sums" else "Title: {question}\nArticle:\n", encoding="utf-8")
    return folder


class Adder:
    """Adds and subtracts like the task, and is wrong where the seed says so."""

    digest = digest.of_bytes(b"adder")

    def __init__(self, wrong: int) -> None:
        self.wrong = wrong
        self.asked: list[str] = []

    def answers(self, requests: Sequence[Request], _: Sampling, done: Collection[int]) -> Iterator[tuple[int, Answer]]:
        for i, request in enumerate(requests):
            if i not in done:
                a, sign, b = re.findall(r"(\d) ([+-]) (\d) =", request.prompt)[-1]
                value = (int(a) + int(b) if sign == "+" else int(a) - int(b)) + (request.seed % 4 < self.wrong)
                self.asked.append(request.key)
                yield i, Answer(text=f" {value}", finish="stop")


def rows(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(path, partitioning=None).to_pylist()
    return found


def judged(kind: Family, ask: Ask, text: str, folder: Path) -> str:
    ledger = Ledger(folder / "judged")
    try:
        shaped = shape(kind, ask, Answer(text=text, finish="stop"))
        return verdicts(kind, [("x/0/0", ask, shaped)], ledger)[0]
    finally:
        os.close(ledger.lock)


def test_right_answers_become_documents_and_wrong_ones_stay_apart_with_their_verdict(tmp_path: Path, prompts: Path) -> None:
    found = made(settings(sums=family()), tmp_path, prompts, Adder(wrong=2))
    kept, refused = rows(tmp_path / "data/synthetic/sums/00000.parquet"), rows(tmp_path / "data" / REJECTED)
    assert {row["verdict"] for row in kept} == {"accepted"}
    assert {row["verdict"] for row in refused} == {"wrong"}
    assert len(kept) + len(refused) == found.families["sums"].asked == 8
    assert found.families["sums"].share == len(kept) / 8
    assert json.loads((tmp_path / "data" / INDEX).read_text())["families"]["sums"]["verdicts"] == {
        "accepted": len(kept),
        "wrong": len(refused),
    }


def test_a_row_says_how_it_was_made(tmp_path: Path, prompts: Path) -> None:
    made(settings(sums=family()), tmp_path, prompts, Adder(wrong=0))
    found = rows(tmp_path / "data/synthetic/sums/00000.parquet")
    assert [row["id"] for row in found] == sorted(str(row["id"]) for row in found)
    for row in found:
        prompt = TEMPLATE.replace("{question}", str(row["question"]))
        assert row["text"] == f"Question: {row['question']}\nAnswer: {str(row['answer']).strip()}"
        assert row["id"] == digest.of_text(str(row["text"]))
        assert row["prompt_digest"] == digest.of_bytes(prompt.encode())
        assert (row["generator_digest"], row["source"], row["family"]) == (Adder.digest, "synthetic/sums", "sums")
    again = asks(family(), TEMPLATE, 7, {}, tmp_path, "x")
    assert {row["seed"] for row in found} == {ask.seed for ask in again}


def test_a_row_that_was_removed_is_neither_kept_nor_rejected_and_the_others_stay_as_they_were(
    tmp_path: Path, prompts: Path
) -> None:
    def made(into: str, removed: frozenset[str]) -> list[dict[str, object]]:
        ledger = Ledger(tmp_path / f"{into}-runs")
        synthesize(settings(sums=family()), {}, tmp_path, prompts, Adder(wrong=2), ledger, tmp_path / into, removed)
        os.close(ledger.lock)
        return [*rows(tmp_path / into / "synthetic/sums/00000.parquet"), *rows(tmp_path / into / REJECTED)]

    before = made("before", frozenset())
    gone = {str(before[0]["id"]), str(before[-1]["id"])}
    assert made("after", frozenset(gone)) == [row for row in before if row["id"] not in gone]


def test_a_verified_family_without_one_right_answer_is_an_error(tmp_path: Path, prompts: Path) -> None:
    with pytest.raises(DataError, match="0 of 8 answers were kept") as caught:
        made(settings(sums=family()), tmp_path, prompts, Adder(wrong=4))
    assert "$.data.synthesize.families.sums" in str(caught.value)
    assert any(row.startswith("wrong") for row in caught.value.evidence)


def test_a_yield_below_the_recipes_least_is_an_error(tmp_path: Path, prompts: Path) -> None:
    strict = replace(settings(sums=family()), min_yield=0.9)
    with pytest.raises(DataError, match="at least 90% of checked ones"):
        made(strict, tmp_path, prompts, Adder(wrong=2))


def test_questions_are_different_and_none_is_answered_by_the_template(tmp_path: Path) -> None:
    found = asks(family(rows=60), TEMPLATE, 7, {}, tmp_path, "x")
    assert len({ask.question for ask in found}) == 60
    assert not any(ask.question in TEMPLATE for ask in found)


def test_the_tasks_own_verifier_judges(tmp_path: Path) -> None:
    ask = asks(family(rows=1), TEMPLATE, 7, {}, tmp_path, "x")[0]
    a, sign, b = re.findall(r"(\d) ([+-]) (\d) =", ask.question)[0]
    right = int(a) + int(b) if sign == "+" else int(a) - int(b)
    assert [judged(family(), ask, text, tmp_path) for text in (str(right), str(right + 1), "", "many")] == [
        "accepted", "wrong", "empty", "wrong",
    ]  # fmt: skip


def test_an_unverified_family_is_labelled_so(tmp_path: Path) -> None:
    free = family(rows=1, check="none")
    ask = asks(free, TEMPLATE, 7, {}, tmp_path, "x")[0]
    assert [judged(free, ask, text, tmp_path) for text in ("anything", "")] == ["unverified", "empty"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "chain_sums"}, "no task named 'chain_sums'. Did you mean 'chain_sum'"),
        ({"options": {"terms": 2}}, "the task does not take them"),
        ({"task": "passage", "check": "none", "options": {}}, "no source of text named 'None'"),
    ],
)
def test_a_family_that_cannot_be_asked_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        asks(family(**changes), TEMPLATE, 7, {}, tmp_path, "$.here")
    assert message in str(caught.value)


def test_more_questions_than_a_task_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="different questions where 900 are wanted"):
        asks(family(rows=900), TEMPLATE, 7, {}, tmp_path, "x")


def test_nothing_can_verify_a_passage() -> None:
    with pytest.raises(RecipeError, match="nothing can verify a passage"):
        settings(passages=family(task="passage"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "the family has no prompt"),
        ("Question:", "stands in it 0 times"),
        ("{question}, {question}", "stands in it 2 times"),
    ],
)
def test_a_prompt_holds_the_question_once(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "sums.txt").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_template(tmp_path, "sums", ("question",))


def test_a_passage_is_asked_by_title_alone_and_ends_with_a_whole_sentence(tmp_path: Path) -> None:
    package = tmp_path / "wiki"
    package.mkdir()
    articles = {str(n): {"title": f"Title {n}", "extract": f"Body {n}."} for n in range(9)}
    (package / "a.json").write_text(json.dumps(articles))
    source = Source(
        family="en", language="en", licence="unknown", attribution="", hub=None, package="wiki", reader="summaries", options={},
        paths=("a.json",), exclude=(),
    )  # fmt: skip
    passages = family(task="passage", check="none", rows=4, options={"source": "en/wiki"})
    found = asks(passages, "Title: {question}\nArticle:", 7, {"en/wiki": source}, tmp_path, "x")
    assert [ask.seed_document for ask in found] == sorted(digest.of_text(f"Title {n}\n\nBody {n}.") for n in range(9))[:4]
    assert all(ask.prompt == f"Title: {ask.question}\nArticle:" and "Body" not in ask.prompt for ask in found)
    assert whole("It is one. It is two! And th") == "It is one. It is two!"
    assert whole("no end") == ""
    said = ("One. Two.", "One. Two. One.", "")
    assert [judged(passages, found[0], text, tmp_path) for text in said] == ["unverified", "repeats", "empty"]

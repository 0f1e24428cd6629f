"""The families of our own: what is asked, what is made of the answers, and what each check accepts."""

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.unit.data.synthesis_kit import SEEDS, Bench, Scripted, needs_sandbox
from yulan import digest
from yulan.data.synthesize import REJECTED, checks
from yulan.data.synthesize.checks import by_tests
from yulan.data.synthesize.engine import Finish
from yulan.data.synthesize.judge import mark, score_documents
from yulan.data.synthesize.ledger import Ledger
from yulan.data.synthesize.prompts import fill, read_template
from yulan.errors import DataError, RecipeError
from yulan.recipe.synthesis import Family, Judge, Synthesize
from yulan.schema import check


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_seed_text_becomes_a_problem_with_a_solution(bench: Bench):
    engine = Scripted(lambda prompt, seed: f"[Problem]: What is {seed}?\n[Solution]: It is {seed}.")
    made = bench.make(engine, task="problem", check="none").families["it"]
    assert (made.kept, made.verdicts) == (6, {"unverified": 6})
    row = bench.rows()[0]
    assert row["text"] == f"Problem: What is {row['seed']}?\n\nSolution: It is {row['seed']}."
    assert row["question"] == f"What is {row['seed']}?"
    assert row["seed_document"] in {digest.of_text(text) for text in SEEDS}
    assert sorted(engine.prompts) == sorted(f"About {text}" for text in SEEDS)


def test_every_row_keeps_its_schema(bench: Bench):
    bench.make(Scripted(lambda _, seed: "[Problem] A [Solution] B" if seed % 2 else "no"), task="problem", check="none")
    rows = [*bench.rows(), *bench.rows(REJECTED)]
    assert len(rows) == 6
    for row in rows:
        check(row, "synthetic", "here")


@pytest.mark.parametrize(
    ("said", "finish", "verdict"),
    [
        ("[Problem] A", "stop", "malformed"),
        ("[Solution] B", "stop", "malformed"),
        ("[Problem] A [Solution] B\nHuman: more", "stop", "malformed"),
        ("[Problem] A [Solution] B", "length", "cut"),
        (" \n", "stop", "empty"),
    ],
)
def test_what_is_no_problem_is_rejected_with_a_reason(bench: Bench, said: str, finish: Finish, verdict: str):
    with pytest.raises(DataError, match="0 of 6 answers were kept") as caught:
        bench.make(Scripted(lambda *_: said, finish), task="problem", check="none")
    assert caught.value.evidence[0].startswith(verdict)


def test_a_text_that_two_samples_have_becomes_a_document_once(bench: Bench):
    made = bench.make(Scripted(lambda *_: "[Problem] A [Solution] B"), task="problem", check="none", samples=2).families["it"]
    assert (made.kept, made.verdicts) == (1, {"twin": 11, "unverified": 1})
    assert (made.any, made.all, made.mean, made.share) == (1.0, 1.0, 1.0, 0.0833)


@pytest.mark.slow
def test_k_samples_are_drawn_apart_and_their_yield_is_told_by_question(bench: Bench):
    """Right where the seed is even: samples lie an odd number apart, so every question has one of two right."""
    options = {"task": "chain_sum", "min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}

    def say(prompt: str, seed: int) -> str:
        a, sign, b = prompt.split(": ")[-1].split(" =")[0].split()
        value = int(a) + int(b) if sign == "+" else int(a) - int(b)
        return f"Sample {seed}: \\boxed{{{value + seed % 2}}}"

    made = bench.make(Scripted(say), "Think.\n{question}", task="thought", check="boxed", samples=2, options=options).families[
        "it"
    ]
    assert (made.questions, made.asked, made.kept) == (6, 12, 6)
    assert (made.any, made.all, made.mean) == (1.0, 0.0, 0.5)
    assert {(row["number"], row["sample"]) for row in [*bench.rows(), *bench.rows(REJECTED)]} == {
        (n, k) for n in range(6) for k in range(2)
    }


def test_a_chain_of_thought_is_held_against_the_answer_behind_the_question(bench: Bench):
    bench.seed([f"What is half of {n}?\nAnswer: \\boxed{{{n}/2}}" for n in range(6)])
    says = {0: r"\boxed{0}", 1: r"so \boxed{0.5}", 2: r"\boxed{1} no, \boxed{2}", 3: "three halves", 4: r"\boxed{\frac{4}{2}}"}

    def say(prompt: str, _: int) -> str:
        return says.get(int(prompt.split("half of ")[1].split("?")[0]), r"\boxed{1 2}")

    made = bench.make(Scripted(say), "{question}", task="thought", check="boxed", options={"split": "Answer:"}).families["it"]
    assert made.verdicts == {"accepted": 3, "no-box": 1, "unread": 1, "wrong": 1}


def program(name: str, body: str, tests: str) -> str:
    return f"[Problem] Write {name}.\n```python\ndef {name}(x):\n    return {body}\n```\n```python\n{tests}\n```"


@needs_sandbox
@pytest.mark.slow
def test_a_program_is_accepted_if_its_tests_pass_and_fail_without_it(bench: Bench):
    bodies = ["x + 1", "x", "sum(0 for _ in iter(int, 1))", "x +", "x + 1", "x + 1"]
    tests = ["assert f(1) == 2"] * 4 + ["print(f(1))", "assert 1 == 1"]

    def say(_: str, seed: int) -> str:
        return program("f", bodies[seed % 6], tests[seed % 6])

    made = bench.make(Scripted(say), task="code", check="tests").families["it"]
    assert made.verdicts == {"accepted": 1, "failed": 1, "no-tests": 1, "syntax": 1, "time": 1, "vacuous": 1}
    assert str(bench.rows()[0]["text"]).startswith("Write f.\n\n```python\ndef f(x):")


@needs_sandbox
@pytest.mark.parametrize("escape", ["import os; os._exit(0)", "import sys; sys.exit()", "raise SystemExit"])
def test_tests_that_are_skipped_are_not_passed(escape: str):
    assert by_tests(f"def f(x):\n    return 1\n{escape}", "assert f(1) == 2") == "failed"


def test_without_a_sandbox_no_program_is_even_asked_for(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checks.sandbox, "why_not", lambda: "unshare: Operation not permitted")
    engine = Scripted(lambda *_: program("f", "1", "assert f(1) == 1"))
    made = bench.make(engine, task="code", check="tests").families["it"]
    assert (made.skipped, made.asked, engine.prompts) == ("no sandbox: unshare: Operation not permitted", 0, [])
    assert bench.rows() == []


def test_a_mark_is_one_digit_and_nothing_else():
    assert [mark(said) for said in ("5", " 1\n", "6", "0", "4.5", "Score: 4", "four", "", "45", "٣")] == [5, 1, *[None] * 8]


def test_rows_below_the_threshold_are_rejected_and_the_mark_is_kept(bench: Bench):
    def say(prompt: str, seed: int) -> str:
        if prompt.startswith("Judge: "):
            return {"0": "5", "1": "4", "2": "3", "3": "good"}[prompt[-1]]
        return f"[Problem] {seed} [Solution] {seed % 4}"

    made = bench.make(Scripted(say), task="problem", check="judge", judge=Judge(threshold=4, max_new_tokens=2)).families["it"]
    assert set(made.verdicts) == {"accepted", "mark-3", "unmarked"}
    assert {row["score"] for row in bench.rows()} == {4, 5}
    assert {row["score"] for row in bench.rows(REJECTED)} == {3, None}


def test_documents_are_scored_in_batches_and_marks_are_not_asked_for_again(tmp_path: Path):
    batches = [[(digest.of_text(text), text) for text in SEEDS[at : at + 2]] for at in (0, 2, 4)]
    engine = Scripted(lambda prompt, _: "3" if "4" in prompt else "x")
    ledger = Ledger(tmp_path / "ledger")
    for _ in range(2):
        assert score_documents(batches, "Mark {text}", engine, 2, ledger, tmp_path / "scores.parquet") == 1
    assert len(engine.prompts) == 6
    rows = pq.read_table(tmp_path / "scores.parquet").to_pylist()
    assert [row["id"] for row in rows] == [digest.of_text(text) for text in SEEDS]
    assert [row["score"] for row in rows] == [None, None, None, None, 3, None]
    assert {row["prompt_digest"] for row in rows} == {digest.of_bytes(b"Mark {text}")}
    assert {row["generator_digest"] for row in rows} == {Scripted.digest}
    os.close(ledger.lock)


def test_braces_of_latex_are_no_fields_and_braces_in_a_seed_stay(tmp_path: Path):
    (tmp_path / "a.txt").write_text("Use \\boxed{answer} and x^{n}, \\frac{a}{b}: {text}\n")
    template = read_template(tmp_path, "a", ("text",))
    assert fill(template, {"text": "a {text} b {tactic}"}) == "Use \\boxed{answer} and x^{n}, \\frac{a}{b}: a {text} b {tactic}"


def test_an_unknown_field_is_named_with_the_nearest(tmp_path: Path):
    (tmp_path / "a.txt").write_text("{befor} {tactic}")
    with pytest.raises(RecipeError, match=r"no field is called 'befor'\. Did you mean 'before'\?"):
        read_template(tmp_path, "a", ("before", "tactic"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"check": "tests"}, "`tests` cannot check a problem. Write none or judge"),
        ({"check": "judge"}, "is judged, and there is no judge"),
        ({"samples": 3, "temperature": 0.0}, "3 greedy answers to a question would be one"),
        ({"task": "chain_sum", "check": "boxed"}, "`boxed` cannot check a chain_sum"),
    ],
)
def test_a_family_that_makes_no_sense_is_refused(bench: Bench, changes: dict[str, object], message: str):
    with pytest.raises(RecipeError) as caught:
        bench.make(Scripted(lambda *_: ""), **{"task": "problem", "check": "none", **changes})
    assert message in str(caught.value)


def test_the_judges_name_is_taken():
    family = Family(
        task="problem", rows=1, samples=1, max_new_tokens=1, temperature=0.0, top_p=1.0, stop=(), check="none", options={}
    )
    with pytest.raises(RecipeError, match=r"prompts/judge\.txt is the judge's"):
        Synthesize(model=None, batch=1, seed=0, min_yield=0.0, judge=None, families={"judge": family})

"""Final answers: found in a text, read without evaluating it, compared by sympy under a time limit."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yulan.data.synthesize.algebra import Algebra
from yulan.data.synthesize.formula import Unread, read
from yulan.data.synthesize.tidy import boxed


@pytest.fixture(scope="module")
def algebra() -> Iterator[Algebra]:
    with Algebra(seconds=10) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So \boxed{3} or rather \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{ \{1, 2\} }", r"\{1, 2\}"),
        (r"\fbox{1} \boxed{7", None),
        (r"\boxed{7} and \boxed{8", "7"),
        ("nothing", None),
    ],
)
def test_the_answer_is_what_the_last_closed_box_holds(text: str, answer: str | None):
    assert boxed(text) == answer


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1/2", r"\frac{1}{2}"),
        ("0.5", r"\frac12"),
        (r"\dfrac{3}{6}", "1/2"),
        ("1,234,567", "1234567"),
        (r"3\frac{1}{2}", "7/2"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
        (r"\sqrt 2", "2^{1/2}"),
        (r"\sqrt[3]{27}", "3"),
        (r"x = 5", "5"),
        (r"\text{ }12\text{ cm}", "12"),
        (r"90^\circ", "90"),
        ("50\\%", "50"),
        (r"(x+1)^2", "x^2+2x+1"),
        (r"\sin^2 x + \cos^2 x", "1"),
        (r"\left( 1, -2 \right)", "(1,-2)"),
        (r"\{1, 2, 3\}", r"\{3, 1, 2\}"),
        ("2, 3", r"x=3 \text{ or } x=2"),
        (r"1 \pm \sqrt{5}", r"1-\sqrt5, 1+\sqrt5"),
        (r"(-\infty, 2] \cup [3, \infty)", r"[3,\infty)\cup(-\infty,2]"),
        ("x < 3", "3 > x"),
        (r"\frac{\pi}{4}", r"\arctan 1"),
        (r"e^{i\pi}", "-1"),
        (r"\log_2 8", "3"),
        (r"\binom{5}{2}", "10"),
        ("5!", "120"),
        (r"2x_1 y", "2*y*x_1"),
        (r"\text{Yes}", "yes"),
        ("$42$.", "42"),
        ("−7", "-7"),
        ("|{-3}|", "3"),
        ("2^{10}", "1024"),
    ],
)
def test_equal_answers_are_the_same(algebra: Algebra, one: str, other: str):
    assert algebra.compare(one, other) == algebra.compare(other, one) == "same"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.333", "1/3"), ("(1,2)", "(2,1)"), ("(1,2)", "[1,2]"), ("(1,2]", "(1,2)"), ("2", "-2"), ("x+1", "x+2"), ("2,3", "2"),
        ("x<3", r"x \le 3"), ("yes", "no"), (r"1 \pm 2", "3"), ("x", "y"), (r"\infty", "3"), (r"\infty", r"-\infty"),
    ],
)  # fmt: skip
def test_other_answers_are_different(algebra: Algebra, one: str, other: str):
    assert algebra.compare(one, other) == algebra.compare(other, one) == "different"


@pytest.mark.parametrize("answer", ["", "1 2", r"\begin{pmatrix}1\\2\end{pmatrix}", "(((1)", "f(x", "1//", "x" * 3000, "(" * 500])
def test_what_the_grammar_does_not_know_is_unread(algebra: Algebra, answer: str):
    assert algebra.compare(answer, "1") == "unread"


@pytest.mark.parametrize(
    "attack",
    [
        "__import__('os').system('touch {0}')",
        "(lambda: open('{0}', 'w'))()",
        "exec(\"open('{0}','w')\")",
        "S('1').__class__.__base__.__subclasses__()",
        "\\input{{{0}}}",
        "\\write18{{touch {0}}}",
        "${{import os; os.system('touch {0}')}}$",
    ],
)
def test_an_answer_is_never_run(algebra: Algebra, tmp_path: Path, attack: str):
    mark = tmp_path / "run"
    assert algebra.compare(attack.format(mark), "1") in ("unread", "different")
    assert algebra.compare("1", attack.format(mark)) in ("unread", "different")
    assert not mark.exists()


@pytest.mark.slow
def test_an_endless_comparison_is_ended_and_the_next_one_is_answered():
    with Algebra(seconds=1) as algebra:
        begun = time.monotonic()
        assert algebra.compare("9^{9^{9^{9}}}", "1") in ("time", "unread")
        assert algebra.compare("10000000!", "1") in ("time", "unread")
        assert time.monotonic() - begun < 60
        assert algebra.compare("2/4", "1/2") == "same"


def test_a_worker_that_was_killed_is_made_anew():
    with Algebra(seconds=5) as algebra:
        assert algebra.compare("2/4", "1/2") == "same"
        process = algebra._process
        assert process is not None
        process.kill()
        process.wait()
        assert algebra.compare("3/6", "1/2") == "same"


@pytest.mark.slow
def test_the_limit_is_of_each_comparison_and_not_of_all():
    with Algebra(seconds=1) as algebra:
        assert {algebra.compare(f"(x+{n})^2", f"x^2+{2 * n}x+{n * n}") for n in range(120)} == {"same"}


def test_a_closed_algebra_leaves_no_process():
    with Algebra(seconds=5) as algebra:
        assert algebra.compare("2/4", "1/2") == "same"
        process = algebra._process
        assert process is not None
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789xyei+-*/^_(){}[]|,.!=<>\\ fracsqtpinlog", max_size=60))
def test_any_text_is_read_or_unread_and_nothing_else(text: str):
    with contextlib.suppress(Unread):
        assert isinstance(read(text), list)

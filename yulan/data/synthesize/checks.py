"""Verdicts: what accepts an answer, or the reason for which it is rejected."""

import ast
import os
from collections.abc import Callable, Sequence

from yulan.data import sandbox
from yulan.data.sandbox import Limits
from yulan.data.synthesize import lean
from yulan.data.synthesize.algebra import SAME, Algebra
from yulan.data.synthesize.families import Ask
from yulan.data.synthesize.forms import Shaped
from yulan.data.synthesize.ledger import Ledger
from yulan.recipe.synthesis import LEAN, Family

ACCEPTED, UNVERIFIED, UNCHECKED = "accepted", "unverified", "unchecked"
KEPT = (ACCEPTED, UNVERIFIED, UNCHECKED)
ALGEBRA_SECONDS = 5
RULES = 1
"""Raise it when the verdict of a slow check may change: those that a ledger remembers are worked out again."""
TESTS = Limits(cpu=5, wall=60.0)
Work = tuple[str, str, Callable[[], str]]


def needs(family: Family) -> str | None:
    """Why this family cannot be checked on this machine; it is then not asked at all."""
    reason = sandbox.why_not() if family.check == "tests" else None
    return f"no sandbox: {reason}" if reason else None


def verdicts(family: Family, rows: Sequence[tuple[str, Ask, Shaped]], ledger: Ledger) -> list[str]:
    """One for each (key, question, answer); those of a judge are not given here."""
    found = [shaped.reason or UNVERIFIED for _, _, shaped in rows]
    open_ = [i for i, (_, _, shaped) in enumerate(rows) if shaped.reason is None]
    if family.check == "task":
        for i in open_:
            _, ask, shaped = rows[i]
            # Only a full score is accepted.
            found[i] = ACCEPTED if ask.score is not None and ask.score(shaped.parts["answer"]) >= 1.0 else "wrong"
    elif family.check in ("boxed", "tests", "lean"):
        with Algebra(ALGEBRA_SECONDS) as algebra:
            work = [_work(family, *rows[i], algebra) for i in open_]
            for i, verdict in zip(open_, ledger.check(work, os.cpu_count() or 1), strict=True):
                found[i] = verdict
    return found


def _work(family: Family, key: str, ask: Ask, shaped: Shaped, algebra: Algebra) -> Work:
    key, parts = f"{key}/check", shaped.parts
    if family.check == "boxed":
        told = f"{RULES}\0{parts['answer']}\0{ask.reference}"
        return key, told, lambda: by_algebra(parts["answer"], ask.reference or "", algebra)
    if family.check == "tests":
        return key, f"{RULES}\0{parts['program']}\0{parts['tests']}", lambda: by_tests(parts["program"], parts["tests"])
    imports = str(family.options.get("imports", ""))
    # A row that was left unchecked is checked when Lean comes.
    return key, f"{RULES}\0{lean.installed()}\0{shaped.text}", lambda: by_lean(family, ask, shaped, imports)


def by_algebra(answer: str, reference: str, algebra: Algebra) -> str:
    said = algebra.compare(answer, reference)
    return ACCEPTED if said == SAME else "wrong" if said == "different" else said


def by_tests(program: str, tests: str) -> str:
    """The program passes its tests, and they do not pass without it."""
    try:
        asserts = sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(tests)))
        ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "syntax"
    if not asserts:
        return "no-tests"
    if sandbox.run_python(tests, TESTS).passed:
        return "vacuous"
    found = sandbox.run_python(f"{program}\n\n{tests}", TESTS)
    return ACCEPTED if found.passed else "time" if found.ended == "time" else "failed"


def by_lean(family: Family, ask: Ask, shaped: Shaped, imports: str) -> str:
    """A predicted state that is the true one needs no Lean; another way to write it does, and so does an explained step."""
    parts = shaped.parts
    if family.task != LEAN[0]:
        said = parts["after" if family.task == LEAN[1] else "before"]
        if lean.alike(said, ask.reference or ""):
            return ACCEPTED
    return lean.verdict(parts["before"], parts["tactic"], parts["after"], imports)

"""Steps of Lean proofs: told, checked against the true state, and by Lean where it is installed."""

import json
import os
import stat
from pathlib import Path

import pytest

from tests.unit.data.synthesis_kit import Bench, Scripted, needs_sandbox
from yulan.data.synthesize import lean


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


STEPS = [
    json.dumps({"state_before": f"n : Nat\nh : {k} < n\n⊢ {k} ≤ n", "tactic": f"exact le_of_lt{k} h", "state_after": "no goals"})
    for k in range(6)
]
LEANS = [
    ("lean-explain", "{before} {tactic} {after}", "The tactic closes the goal.", "unchecked"),
    ("lean-next", "{before} {tactic}", "```lean4\nno goals\n```", "accepted"),
    ("lean-next", "{before} {tactic}", "⊢ 0 < n", "unchecked"),
    ("lean-previous", "{tactic} {after}", "n : Nat\nh : 1 < n\n⊢ 1 ≤ n", None),
]


@pytest.mark.parametrize(("task", "template", "said", "verdict"), LEANS)
def test_a_step_of_a_proof_is_told_and_without_lean_nothing_is_claimed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, task: str, template: str, said: str, verdict: str | None
):
    monkeypatch.setattr(lean, "installed", lambda: None)
    bench.seed(STEPS)
    made = bench.make(Scripted(lambda *_: said), template, task=task, check="lean").families["it"]
    rows = bench.rows()
    if verdict is None:
        # One of the six states before is the one that is said.
        assert made.verdicts == {"accepted": 1, "unchecked": 5}
    else:
        assert set(made.verdicts) <= {verdict, "twin"}
    assert all(str(row["text"]).startswith("State before:\n```lean4\nn : Nat") for row in rows)


def test_a_state_is_written_as_a_claim_and_what_cannot_be_is_not():
    before = "case inl\na b : Nat\nh :\n  a = b\n⊢ b = a"
    assert lean.statement(before) == "(a b : Nat) (h : a = b) : b = a"
    assert lean.program(before, "exact h.symm", "no goals", "Mathlib") == (
        "import Mathlib\nexample (a b : Nat) (h : a = b) : b = a := by\n  exact h.symm\n"
    )
    assert lean.program(before, "symm", "h : a = b\n⊢ a = b\n\ncase x\n⊢ 1 = 1") == (
        "example (a b : Nat) (h : a = b) : b = a := by\n  symm\n  · show a = b\n    sorry\n  · show 1 = 1\n    sorry\n"
    )
    for odd in ("x✝ : Nat\n⊢ 1 = 1", "x : Nat := 1\n⊢ x = 1", "⊢ 1 = 1\n\n⊢ 2 = 2", "no goals", "stray\n⊢ 1 = 1"):
        assert lean.program(odd, "rfl", "no goals") is None
    assert lean.program(before, "sorry", "no goals") is None
    assert lean.program(before, "symm", "⊢ by sorry") is None


@needs_sandbox
def test_the_hook_runs_lean_in_the_sandbox_and_believes_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stand-in for Lean, which is not in any package index: a program that accepts a file with `rfl` in it."""
    stand_in = tmp_path / "bin" / "lean"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\nif [ "$1" = --print-prefix ]; then echo {tmp_path}; else grep -q rfl "$1"; fi\n')
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    tmp_path.chmod(0o755)
    lean.installed.cache_clear()
    try:
        assert lean.installed() == tmp_path
        assert lean.verdict("⊢ 1 = 1", "rfl", "no goals", "") == "accepted"
        assert lean.verdict("⊢ 1 = 2", "simp", "no goals", "") == "wrong"
        assert lean.verdict("x✝ : Nat\n⊢ 1 = 1", "rfl", "no goals", "") == "unchecked"
    finally:
        lean.installed.cache_clear()

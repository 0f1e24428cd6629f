"""Neighbours of a phase lie as far apart as its learning rate lets them; one that does not is named."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.unit.release.audit_kit import CARD, Files, lay, surveyed, tensors
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.audit.distances import summed
from yulan.release.audit.layouts import phase_of
from yulan.release.audit.run import audit
from yulan.release.names import Repo

STEPS = (100, 200, 400, 500, 600, 700)


def rate(step: int) -> float:
    """Flat, then linear to a tenth."""
    return 0.01 if step <= 500 else 0.01 - 0.009 * (step - 500) / 200


def series(wrong: int | None = None, *, told: bool = True) -> dict[str, Files]:
    """Weights that move by the learning rate; `wrong` is a step at which another run's weights stand."""
    draw = np.random.default_rng(7)
    weights, other, made = draw.normal(size=4096), draw.normal(size=4096), {}
    before = 0
    for step in STEPS:
        moved = sum(rate(n) for n in range(before + 1, step + 1))
        weights = weights + moved * 1e-3 * draw.normal(size=4096)
        before = step
        state = {"global_step": step, "log_history": [{"step": n, "learning_rate": rate(n)} for n in range(10, step + 1, 10)]}
        held = other if step == wrong else weights
        trainer = json.dumps(state if told else {"global_step": step}).encode()
        made[f"step{step}"] = {
            "model.safetensors": tensors(w=[float(x) for x in held]),
            "README.md": CARD,
            "LICENSE": b"MIT\n",
            "config.json": b"{}",
            "trainer_state.json": trainer,
        }
    return {"main": made[f"step{STEPS[-1]}"], **made}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root: Path = tmp_path_factory.mktemp("far")
    lay(root, "x/even", series())
    lay(root, "x/spliced", series(400))
    lay(root, "x/silent", series(400, told=False))
    with running_hub(root) as served:
        yield served


def test_an_even_run_gives_no_finding_though_its_rate_falls(hub: Served):
    found = audit(surveyed(hub, Repo(id="x/even", part="model")))
    assert found.findings == ()
    assert "distance-unchecked" not in {each.id for each in found.notes}


def test_weights_of_another_run_between_two_of_this_one_are_named(hub: Served):
    found = audit(surveyed(hub, Repo(id="x/spliced", part="model"))).findings
    assert [(each.id, each.where) for each in found] == [("distance", "step400"), ("distance", "step500")]
    assert "times as far from step200 as is usual in this run at its learning rate" in found[0].what


def test_without_a_rate_nothing_is_compared_and_that_is_said(hub: Served):
    found = audit(surveyed(hub, Repo(id="x/silent", part="model")))
    assert found.findings == ()
    (note,) = (each.what for each in found.notes if each.id == "distance-unchecked")
    assert note.endswith("4 checkpoints of a phase, 2,048 numbers in a tensor, trainers' states that tell the learning rate")


def test_the_sum_of_rates_is_that_of_the_steps():
    rates = {step: rate(step) for step in range(10, 701, 10)}
    assert summed(rates, 400, 700) == pytest.approx(sum(rate(n) for n in range(401, 701)), rel=0.01)
    assert summed({1: float("nan"), 2: 0.1}, 1, 2) == 0
    assert [phase_of(label) for label in ("phase-01-step-000100", "stage1-step5-tokens1B", "step7", "main")] == [
        "phase-01",
        "stage1",
        "",
        "main",
    ]

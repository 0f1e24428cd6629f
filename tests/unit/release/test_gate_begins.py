"""A phase that begins re-balanced: what it began with is published, and the gate holds it to its parent's end."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.release.test_gate import change_weight, edit, edit_csv, replace, rule
from yulan.release.gate.bundle import Bundle
from yulan.release.gate.judge import rule_on

PARENT, BEGIN = "phase-02-step-000024", "phase-03-step-000024"
"""The end of phase-02, and what phase-03 began re-balanced with."""


@pytest.fixture
def bundle(small: Path, tmp_path: Path) -> Path:
    """A copy whose files share bytes with the original; writing to one gives it bytes of its own."""
    shutil.copytree(small, tmp_path / "bundle", copy_function=os.link)
    return tmp_path / "bundle"


def state_factors(bundle: Path, factors: dict[str, float] | None) -> None:
    """Let the begin of phase-03 state other factors than those it was made by, or none."""
    path = bundle / "states" / BEGIN / "checkpoint/manifest.json"
    kept = {key: value for key, value in json.loads(path.read_text())["summary"].items() if key != "rebalanced"}
    edit(path, summary=kept if factors is None else kept | {"rebalanced": factors})


def begin_as_the_parent_ended(bundle: Path) -> None:
    """The begin of phase-03 becomes a copy of the parent's weights, and its list names them."""
    name = "checkpoint/weights-00001-of-00001.safetensors"
    listed = {each: json.loads((bundle / "states" / each / "manifest.json").read_text())["files"] for each in (PARENT, BEGIN)}
    replace(bundle / "states" / BEGIN / name, (bundle / "states" / PARENT / name).read_bytes())
    rows = [next(row for row in listed[PARENT] if row["path"] == name) if row["path"] == name else row for row in listed[BEGIN]]
    edit(bundle / "states" / BEGIN / "manifest.json", files=rows)
    state_factors(bundle, None)


def let_recipe_say(bundle: Path, old: str, new: str) -> None:
    path = bundle / "data/main/recipes/tiny/recipe.yaml"
    assert old in path.read_text()
    replace(path, path.read_text().replace(old, new, 1))


WRONG: list[tuple[str, Callable[[Path], object], str]] = [
    ("weights-differ", begin_as_the_parent_ended, f"states: {PARENT} = {BEGIN}, and no alias is declared"),
    (
        "begins-follow",
        lambda b: change_weight(b / "states" / BEGIN / "checkpoint/weights-00001-of-00001.safetensors"),
        f"states/{BEGIN}: weights of model.norm.weight",
    ),
    (
        "begins-follow",
        lambda b: change_weight(b / "states" / PARENT / "checkpoint/exp_avg_sq-00001-of-00001.safetensors"),
        f"states/{BEGIN}: exp_avg_sq of model.norm.weight",
    ),
    ("begins-follow", begin_as_the_parent_ended, f"states/{BEGIN} is no re-balancing of that checkpoint"),
    ("begins-follow", lambda b: state_factors(b, {}), f"states/{BEGIN}: factor of model.layers.0."),
    (
        "begins-follow",
        lambda b: edit(b / "states" / BEGIN / "checkpoint/state.json", adam_step=22),
        f"states/{BEGIN}: adam_step of state.json",
    ),
    (
        "begins-follow",
        lambda b: edit(b / "states" / BEGIN / "checkpoint/state.json", phase_step=1),
        f"states/{BEGIN} is no begin of a phase",
    ),
    (
        "begins-follow",
        lambda b: let_recipe_say(b, "rebalance: true", "rebalance: false"),
        f"states/{BEGIN} is re-balanced, and the recipe does not say so",
    ),
    (
        "begins-follow",
        lambda b: let_recipe_say(b, "rebalance: false\n  phase-03:", "rebalance: true\n  phase-03:"),
        "no states/phase-02-step-000016: phase-02 begins re-balanced",
    ),
    (
        "begins-follow",
        lambda b: edit_csv(b / "model/main/checkpoints.csv", 2, begin=""),
        "checkpoints.csv says that phase-03 begins with its parent",
    ),
]


@pytest.mark.parametrize(("name", "change", "told"), WRONG, ids=[f"{i}-{row[0]}" for i, row in enumerate(WRONG)])
def test_what_does_not_follow_is_named(bundle: Path, name: str, change: Callable[[Path], object], told: str):
    change(bundle)
    ruling = rule_on(rule(name), Bundle(path=bundle))
    assert ruling.verdict == "fail"
    assert any(told in row for row in ruling.evidence), ruling.evidence


def test_a_begin_that_states_no_moved_alpha_may_have_its_parents_weights(bundle: Path):
    begin_as_the_parent_ended(bundle)
    state_factors(bundle, {})
    assert rule_on(rule("weights-differ"), Bundle(path=bundle)).verdict == "pass"
    assert rule_on(rule("begins-follow"), Bundle(path=bundle)).verdict == "fail", "here alphas had moved"

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.train.conftest import profile, small_recipe
from yulan.errors import DataError, RecipeError, StateError
from yulan.model.shape import flops_per_token
from yulan.profile import Slurm
from yulan.train.able import require_able
from yulan.train.spend import allow, allowed, device_hours, require_allowed

RECIPE = small_recipe()

SLURM = Slurm(nodes=2, gpus=0, minutes=20, notice=30, partition=None, account=None)


def test_hours_are_flops_over_the_measured_rate_times_devices():
    machine = replace(profile(2), flops=1e6)
    flops = sum(flops_per_token(RECIPE.model, p.context) * p.steps * p.step_tokens for p in RECIPE.phases.values())
    assert device_hours(RECIPE, machine) == pytest.approx(flops / 1e6 * 2 / 3600)


def test_a_recipe_under_its_limit_needs_no_permission(tmp_path: Path):
    require_allowed(RECIPE, profile(2), tmp_path / "allowed.json")


def test_a_recipe_above_its_limit_waits_until_it_is_allowed(tmp_path: Path):
    dear = replace(profile(2), flops=1e4)
    hours = device_hours(RECIPE, dear)
    with pytest.raises(StateError, match=r"the recipe needs about .* device hours, its limit is 1\.0"):
        require_allowed(RECIPE, dear, tmp_path / "allowed.json")
    allow(tmp_path / "allowed.json", hours / 2)
    with pytest.raises(StateError):
        require_allowed(RECIPE, dear, tmp_path / "allowed.json")
    allow(tmp_path / "allowed.json", hours)
    require_allowed(RECIPE, dear, tmp_path / "allowed.json")


def test_a_damaged_permission_is_named(tmp_path: Path):
    (tmp_path / "allowed.json").write_text("[]")
    with pytest.raises(DataError, match="holds no gpu_hours"):
        allowed(tmp_path / "allowed.json")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"processes": 3}, "3 processes do not divide the grid of 4"),
        ({"zero": 0, "precision": "bf16"}, "bf16 needs ZeRO"),
        ({"launcher": "slurm"}, "the launcher slurm has no settings"),
        ({"launcher": "slurm", "slurm": replace(SLURM, nodes=3)}, "2 processes do not spread evenly over 3 nodes"),
    ],
)
def test_a_machine_that_cannot_run_the_phase_is_refused_before_anything_starts(changed: dict[str, object], message: str):
    with pytest.raises(RecipeError, match=message):
        require_able(replace(profile(2), **changed), RECIPE.phase("phase-01"))

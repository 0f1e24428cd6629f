"""bf16 with fp32 master weights, states on the host and layers computed again: real runs, resumed to the bit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.unit.train.conftest import World, profile
from tests.unit.train.test_run import tree
from yulan.profile import Profile
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.stream import KINDS
from yulan.train.phase import link_outcome, train_phase

STEPS = 4
REST = ((1, "none", 0), (1, "cpu", 0), (3, "none", 2), (3, "cpu", 2))


def half(zero: int, offload: str, recompute: int) -> Profile:
    return replace(profile(2, zero), precision="bf16", offload=offload, recompute=recompute)


@pytest.mark.parametrize(
    ("zero", "offload", "recompute"),
    [pytest.param(2, "cpu", 2, marks=pytest.mark.slow), *(pytest.param(*told, marks=pytest.mark.large) for told in REST)],
)
def test_a_resumed_run_in_bf16_is_the_straight_one(world: World, tmp_path: Path, zero: int, offload: str, recompute: int):
    machine = half(zero, offload, recompute)
    straight = train_phase(world.plan(STEPS, profile=machine), tmp_path / "straight")
    train_phase(world.plan(STEPS // 2, profile=machine), tmp_path / "resumed")
    resumed = train_phase(world.plan(STEPS, profile=machine), tmp_path / "resumed")
    for name, outcome in (("a", straight), ("b", resumed)):
        link_outcome(outcome, tmp_path / name)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert straight.state.trajectory == "EXACT"
    told = straight.state.determinism
    assert (told.precision, told.attention) == ("bf16", "sdpa+offload" if offload == "cpu" else "sdpa")
    found = read_checkpoint(straight.kept[-1])
    for kind in KINDS:
        numbers = found.tensor("model.layers.0.mlp.up_proj.weight", kind)
        assert numbers.dtype == torch.float32
        assert not torch.equal(numbers, numbers.bfloat16().float()), "what is saved is not rounded to bf16"

"""The bytes that `plan` names are those that the engine really holds."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.train.conftest import ROOT, profile, small_recipe
from yulan.model.shape import parameters
from yulan.plan.states import STAGES, states, whole_gradients
from yulan.recipe import read_recipe
from yulan.train.checkpoint.initial import write_initial
from yulan.train.reduce import Node, join

PARTS = ("weights", "gradients", "master", "moments")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_states_are_those_of_the_engines_buffers_to_padding(tmp_path: Path, ranks: int):
    recipe = small_recipe()
    checkpoint = write_initial(tmp_path / "init", recipe)
    options = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={ranks}"]
    script = str(Path(__file__).with_name("count_states.py"))
    command = [sys.executable, "-m", "torch.distributed.run", *options, script, str(checkpoint), "0,1,2,3"]
    own = {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = parameters(recipe.model)
    counted = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["zero"] for row in counted] == list(STAGES)
    for row in counted:
        planned = states(found, replace(profile(ranks), zero=row["zero"]), row["zero"], 8)
        # ZeRO-3 pads every tensor to equal pieces, ZeRO-1 and 2 each group of tensors.
        padding = 0 if row["zero"] == 0 or ranks == 1 else 8 * (len(found) if row["zero"] == 3 else 2 * ranks * 3)
        for part in PARTS:
            assert 0 <= row[part] - getattr(planned, part) <= padding, (row, part)


def test_each_stage_divides_one_more_part_of_the_real_model_by_the_ranks():
    found = parameters(read_recipe(ROOT / "recipes/yulan-mini/recipe.yaml").model)
    machine = replace(profile(48), precision="bf16")
    zero, one, two, three = (states(found, machine, stage, 336) for stage in STAGES)
    n = 2_234_188_098
    part = -(-n // 48)
    assert (zero.weights, zero.gradients, zero.master, zero.moments) == (2 * n, 2 * n, 4 * n, 8 * n)
    assert (one.weights, one.gradients, one.master, one.moments) == (2 * n, 2 * n, 4 * part, 8 * part)
    assert (two.weights, two.gradients, two.total) == (2 * n, 4 * part, 2 * n + 16 * part)
    small = sum(p.size for p in found if p.kind in ("bias", "norm", "alpha"))
    assert three.weights == 2 * (part + small)
    assert three.total == 18 * part + 2 * small


def test_fp32_weights_without_zero_are_their_own_master():
    found = parameters(small_recipe().model)
    assert states(found, profile(2), 0, 8).master == 0
    assert states(found, replace(profile(2), precision="bf16"), 0, 8).master == 4 * sum(p.size for p in found)


def test_exact_sums_hold_a_gradient_for_each_open_subtree_and_the_newest():
    assert [whole_gradients(share) for share in (1, 2, 4, 8, 7)] == [1, 2, 3, 4, 3]
    found = parameters(small_recipe().model)
    exact = replace(profile(2), reduction="exact", zero=2)
    whole = 4 * sum(p.size for p in found)
    # Two ranks share eight micro-batches: the first two are one sum, the third waits, the fourth comes in.
    assert states(found, exact, 2, 8).gradients == 3 * whole
    assert states(found, exact, 2, 8).moments == states(found, profile(2), 2, 8).moments
    real = [Node(begin=n, size=1, values=[]) for n in range(4)]
    nodes: list[Node] = []
    open_ones = []
    for node in real:
        open_ones.append(len(nodes) + 1)
        join(nodes, node)
    assert max(open_ones) == whole_gradients(4)

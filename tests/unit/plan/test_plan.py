"""`yulan plan` prints the facts of the real run, without torch and at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from yulan.cli import main
from yulan.layout import find_root
from yulan.model.shape import flops_per_token
from yulan.plan import Plan, Rate, make_plan
from yulan.profile import load_profile
from yulan.recipe import read_recipe

ROOT = find_root(Path(__file__).parent)


@pytest.fixture(scope="module")
def real() -> Plan:
    recipe = read_recipe(ROOT / "recipes/yulan-mini/recipe.yaml")
    return make_plan(recipe, load_profile("cpu-2"), "cpu-2", Rate(mfu=0.43, peak=312e12))


def test_the_real_models_parameters_are_those_published_to_the_unit(real: Plan):
    assert (real.parameters, real.untied, real.folded) == (2_234_188_098, 2_424_268_098, 2_424_375_168)


def test_the_decay_starts_where_phase_25_ends_and_is_held_above_zero(real: Plan):
    at = {phase.name: phase for phase in real.phases}
    assert len(at) == 28
    assert at["phase-26"].start == at["phase-26-4k"].start == at["phase-25"].start + at["phase-25"].steps == 243_198
    long, short = real.paths
    assert (long.final, long.steps, short.final, short.steps) == ("phase-27", 262_654, "phase-26-4k", 252_764)
    assert long.anneal is not None
    assert (long.anneal.start, long.anneal.length, long.anneal.hold) == (243_198, 19_000, 262_000)
    # The published trainer's "small hack": the rate stays at its value of step 262,000.
    assert long.last_lr == pytest.approx(0.01 * (1 - (18_802 / 19_000) ** 0.5))
    assert long.last_lr == pytest.approx(5.2e-5, rel=0.01)
    assert short.last_lr == 0


def test_flops_are_counted_by_the_stated_formula(real: Plan):
    first = real.phases[0]
    matrices = 56 * (1920 * (1920 + 384 + 384) + 1920 * 1920 + 3 * 1920 * 4800)
    a_token = 6 * (matrices + 99_000 * 1920) + 12 * 56 * 30 * 64 * 4096
    assert first.flops == pytest.approx(a_token * first.tokens)
    assert first.recompute == pytest.approx((2 * matrices + 4 * 56 * 30 * 64 * 4096) * first.tokens)
    assert first.gpu_hours == pytest.approx(first.flops / (0.43 * 312e12) / 3600)
    # 6 N D of the long path is the figure that reports give: 1.45e22.
    assert real.paths[0].simple == pytest.approx(1.45e22, rel=0.005)


def test_flops_accumulate_along_the_path_and_not_over_the_fork(real: Plan):
    at = {phase.name: phase for phase in real.phases}
    assert at["phase-27"].cumulative == pytest.approx(sum(p.flops for p in real.phases) - at["phase-26-4k"].flops)
    assert at["phase-26-4k"].cumulative == pytest.approx(at["phase-25"].cumulative + at["phase-26-4k"].flops)
    assert real.paths[0].flops == at["phase-27"].cumulative < 1e23


def test_a_checkpoint_is_twelve_bytes_a_parameter(real: Plan):
    assert {phase.checkpoint for phase in real.phases} == {12 * 2_234_188_098}
    # A phase that begins re-balanced keeps that checkpoint too.
    begins = {"phase-25", "phase-26"}
    assert all(phase.checkpoints == (3 if phase.name in begins else 2) * phase.checkpoint for phase in real.phases)


def test_the_authors_throughput_is_the_default_rate():
    # pretrain/scripts/estimate_mfu.py: 1 T tokens in 10 phases of 28 h on 56 GPUs and 15 of 32 h on 48.
    rate = 1e12 / (56 * 10 * 28 * 3600 + 48 * 15 * 32 * 3600)
    model = read_recipe(ROOT / "recipes/yulan-mini/recipe.yaml").model
    assert rate == pytest.approx(7174, abs=1)
    assert rate * flops_per_token(model, 4096) / 312e12 == pytest.approx(0.43, abs=0.001)


def test_the_plan_of_the_real_recipe_takes_less_than_a_second_of_work():
    done = subprocess.run(
        [sys.executable, "-c", "import time; from yulan.cli import main; main(['plan', 'yulan-mini'], standalone_mode=False);"
         "print('took', time.process_time())"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    *said, took = done.stdout.splitlines()
    assert float(took.split()[1]) < 1
    assert said[0].startswith("yulan-mini: 2,234,188,098 parameters as trained")
    assert any(line.startswith("to phase-27: 1,084,437,430,272 tokens in 262,654 steps") for line in said)
    assert "  the rate falls from step 243,198 over 19,000 steps, held from step 262,000; 5.2e-05 at the last step" in said


def test_the_plan_as_json_holds_every_stage():
    done = CliRunner().invoke(main, ["plan", "yulan-mini", "--json", "--mfu", "0.5", "--peak", "9.89e14"])
    told = json.loads(done.stdout)
    assert [each["zero"] for each in told["states"]] == [0, 1, 2, 3]
    assert told["rate"] == {"mfu": 0.5, "peak": 9.89e14}
    assert told["phases"][0]["gpu_hours"] == pytest.approx(told["phases"][0]["flops"] / (0.5 * 9.89e14 * 3600))

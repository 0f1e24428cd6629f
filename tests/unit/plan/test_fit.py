"""`yulan plan --continue CHECKPOINT` says whether going on fits a machine."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.unit.train.conftest import small_recipe
from yulan.cli import main
from yulan.errors import DataError, RecipeError, StateError
from yulan.layout import find_root, shipped
from yulan.model.shape import count
from yulan.plan.activations import LOGITS, ROWS, kept
from yulan.plan.fit import fit
from yulan.plan.need import need
from yulan.profile import Slurm, load_profile
from yulan.recipe import Recipe, read_recipe
from yulan.train.checkpoint.initial import write_initial


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return small_recipe()


@pytest.fixture(scope="module")
def checkpoint(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_initial(tmp_path_factory.mktemp("fit"), recipe)


def test_what_is_needed_is_the_sum_of_its_parts(recipe: Recipe, checkpoint: Path):
    profile = replace(load_profile("cpu-2"), zero=2)
    found = fit(checkpoint, profile, "phase-01", dict(recipe.phases))
    n = count(recipe.model)
    assert found.states.total == 4 * n + 4 * -(-n // 2) + 12 * -(-n // 2)
    assert found.bucket == 4 * n
    assert found.snapshot == 12 * -(-n // 2)
    assert found.needed == found.states.total + found.bucket + found.activations + found.snapshot
    assert (found.parameters, found.disk, found.step, found.moments) == (n, 12 * n, 0, False)
    assert found.fits
    # Double the context, double the activations; states are as they were.
    longer = replace(recipe.phases["phase-01"], context=64)
    twice = fit(checkpoint, profile, "phase-01", {"phase-01": longer})
    inside = 6 * 16 + 4 * recipe.model.ffn_size
    assert twice.states == found.states
    assert twice.activations - found.activations > 4 * 32 * recipe.model.layers * inside
    assert found.least <= found.needed


def test_one_byte_too_few_does_not_fit(recipe: Recipe, checkpoint: Path):
    profile = load_profile("cpu-2")
    needed = fit(checkpoint, profile, "phase-01", dict(recipe.phases)).needed
    for memory, fits in ((needed, True), (needed - 1, False)):
        assert fit(checkpoint, replace(profile, device_memory=memory), "phase-01", dict(recipe.phases)).fits is fits


def test_on_a_gpu_the_host_holds_the_fp32_model_of_each_process_while_it_is_made(recipe: Recipe, checkpoint: Path):
    profile = replace(load_profile("cpu-2"), device="cuda", precision="bf16", processes=8)
    assert fit(checkpoint, profile, "phase-01", dict(recipe.phases)).host == 8 * 4 * count(recipe.model)
    alone = replace(profile, processes=1)
    assert fit(checkpoint, alone, "phase-01", dict(recipe.phases)).host == 12 * count(recipe.model)
    two = replace(profile, slurm=Slurm(nodes=2, gpus=4, minutes=60, notice=60, partition=None, account=None))
    assert fit(checkpoint, two, "phase-01", dict(recipe.phases)).host == 4 * 4 * count(recipe.model)


def test_what_is_offloaded_moves_from_the_device_to_its_host(recipe: Recipe, checkpoint: Path):
    n = count(recipe.model)
    there = replace(load_profile("cpu-1"), device="cuda", precision="bf16", zero=2)
    away = replace(there, offload="cpu")
    near, far = (fit(checkpoint, each, "phase-01", dict(recipe.phases)) for each in (there, away))
    assert (near.states.master, near.states.moments, near.states.host) == (4 * n, 8 * n, 0)
    # On the host: weights, two moments and their gradients in fp32, and the new weights in bf16.
    assert (far.states.master, far.states.moments, far.states.host) == (0, 0, 18 * n)
    assert far.host == near.host + 18 * n
    assert (near.states.gradients, far.states.gradients) == (4 * n, 4 * n)
    assert (near.update, far.update) == (6 * n, 0)


def test_the_shipped_gpu_profiles_fit_the_real_recipe_but_the_smallest_its_longest_windows():
    real = read_recipe(find_root(Path(__file__).parent) / "recipes/yulan-mini/recipe.yaml")
    short, long = real.phase("phase-01"), real.phase("phase-27")
    for name in ("gpu-1-80", "gpu-8", "slurm-48"):
        assert need(real.model, short, load_profile(name)).fits
        assert need(real.model, long, load_profile(name)).fits
    small = load_profile("gpu-1-24")
    assert need(real.model, short, small).fits
    assert not need(real.model, long, small).fits
    # Neither of its two means would do alone.
    for changed in ({"recompute": 0}, {"offload": "none"}):
        assert not need(real.model, short, replace(small, **changed)).fits


def test_fused_kernels_keep_less_and_hold_fewer_logits():
    real = read_recipe(find_root(Path(__file__).parent) / "recipes/yulan-mini/recipe.yaml")
    whole, fused = (kept(real.model, 12288, 2, fused=each) for each in (False, True))
    product = 2 * 12288 * 56 * real.model.ffn_size
    assert whole - fused == product + 8 * LOGITS - 2 * ROWS * 12288 * 1920


def test_the_command_says_bytes_of_device_and_host_and_ends_with_8_where_it_does_not_fit(checkpoint: Path, tmp_path: Path):
    raw = yaml.safe_load((shipped("profiles") / "cpu-2.yaml").read_text())
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(raw | {"device_memory": 1000}))
    words = ["plan", "nano", "--continue", str(checkpoint), "--phase", "phase-01"]
    good = CliRunner().invoke(main, [*words, "--profile", "cpu-2"])
    assert good.exit_code == 0
    assert "step-000000: step 0, 25,266 parameters, without optimizer states" in good.stdout
    assert "GB to spare" in good.stdout
    assert "host: " in good.stdout
    bad = CliRunner().invoke(main, [*words, "--profile", str(tmp_path / "small.yaml")])
    assert bad.exit_code == 8
    assert "going on from it does not fit: " in bad.stderr
    assert "0.0 MB are there. Choose a profile with more processes, a higher ZeRO stage" in bad.stderr
    told = json.loads(CliRunner().invoke(main, [*words, "--profile", "cpu-2", "--json"]).stdout)
    assert told["fits"] is True
    assert (
        told["needed"]
        == told["states"]["weights"]
        + told["states"]["gradients"]
        + told["states"]["master"]
        + told["states"]["moments"]
        + told["bucket"]
        + told["activations"]
        + told["snapshot"]
    )


def test_what_is_no_checkpoint_is_said(recipe: Recipe, checkpoint: Path, tmp_path: Path):
    with pytest.raises(StateError, match=r"has no state\.json\. Name a checkpoint's folder"):
        fit(tmp_path, load_profile("cpu-2"), None, {})
    with pytest.raises(RecipeError, match=r"neither checkpoint nor recipe has a phase 'phase-1'\. Did you mean 'phase-01'\?"):
        fit(checkpoint, load_profile("cpu-2"), "phase-1", dict(recipe.phases))
    with pytest.raises(DataError, match="does not say what model and phase it is of"):
        fit(checkpoint, load_profile("cpu-2"), None, {})

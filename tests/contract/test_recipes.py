"""Every recipe and profile that is shipped loads and keeps the laws."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from yulan.cli import main
from yulan.data.synthesize import read_templates
from yulan.layout import recipe_names
from yulan.params import params_for, read_params
from yulan.profile import load_profile, profile_names
from yulan.recipe import INIT, load_recipe
from yulan.schema import plain

ROOT = Path(__file__).parents[2]
RECIPES = recipe_names(ROOT)


def test_there_is_a_recipe_that_needs_no_accelerator():
    assert "nano" in RECIPES
    assert {"cpu-1", "cpu-2"} <= set(profile_names())


@pytest.mark.parametrize("name", profile_names())
def test_a_shipped_profile_loads(name: str):
    profile = load_profile(name)
    assert profile.processes >= 1
    assert profile.flops > 0


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_loads_with_all_it_names(name: str):
    book = load_recipe(ROOT, name)
    assert book.recipe.name == name
    assert (ROOT / "recipes" / name / "prompts").is_dir()


@pytest.mark.parametrize("name", RECIPES)
def test_every_synthetic_family_has_its_prompt_and_its_source(name: str):
    book, folder = load_recipe(ROOT, name), ROOT / "recipes" / name
    families = book.recipe.data.synthesize.families
    assert set(read_templates(book.recipe.data.synthesize, folder / "prompts")) >= set(families)
    assert {f"synthetic/{each}" for each in families} <= set(book.sources.sources) or book.sources.textless


@pytest.mark.parametrize("name", RECIPES)
def test_every_mix_gives_out_every_token_of_its_budget(name: str):
    book = load_recipe(ROOT, name)
    for phase, section in book.recipe.phases.items():
        budget = section.steps * section.step_tokens
        assert sum(book.mix(phase).quotas(budget).values()) == budget
        assert budget + section.dropped == section.tokens


@pytest.mark.parametrize("name", RECIPES)
def test_every_mix_file_belongs_to_a_phase(name: str):
    book = load_recipe(ROOT, name)
    assert set(book.mixes) == {phase.mix for phase in book.recipe.phases.values()}


@pytest.mark.parametrize("name", RECIPES)
def test_every_grid_is_shared_evenly_by_the_ranks_of_the_shipped_profiles(name: str):
    book = load_recipe(ROOT, name)
    for phase in book.recipe.phases.values():
        assert all(phase.grid % load_profile(each).processes == 0 for each in ("cpu-1", "cpu-2"))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("machine", profile_names())
def test_every_recipe_is_planned_on_every_profile_or_refused_in_one_line(name: str, machine: str):
    words = ["plan", name, "--profile", machine]
    done = CliRunner().invoke(main, words)
    whole = [phase.grid % load_profile(machine).processes == 0 for phase in load_recipe(ROOT, name).recipe.phases.values()]
    if all(whole):
        assert done.exit_code == 0
        wanted = r"micro-batches of \d+ x [\d,]+: (fits|does not fit): [\d,]+ bytes a device, [\d,]+ are there"
        assert re.search(wanted, done.stdout)
    else:
        assert done.exit_code == 3
        assert "processes do not divide the grid of" in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_real_recipe_runs_on_every_gpu_profile():
    made = {name: load_profile(name) for name in profile_names() if name.startswith(("gpu-", "slurm-"))}
    assert set(made) == {"gpu-1-24", "gpu-1-80", "gpu-8", "slurm-48"}
    for phase in load_recipe(ROOT, "yulan-mini").recipe.phases.values():
        assert all(phase.grid % profile.processes == 0 for profile in made.values())


@pytest.mark.parametrize("name", RECIPES)
def test_every_final_follows_from_init_and_its_learning_rate_falls(name: str):
    recipe = load_recipe(ROOT, name).recipe
    for leaf in recipe.leaves():
        assert recipe.phases[recipe.path(leaf)[0]].after == INIT
        assert recipe.anneal(leaf) is not None


@pytest.mark.parametrize("name", RECIPES)
def test_every_licence_is_said_and_unknown_needs_a_reason(name: str):
    book = load_recipe(ROOT, name)
    licences = {source.licence for source in book.sources.sources.values()}
    assert all(licences)
    assert "unknown" not in licences or book.recipe.release.unknown_licence


def test_params_yaml_is_what_yulan_use_writes():
    params = read_params(ROOT)
    assert plain(params) == plain(params_for(load_recipe(ROOT, params.recipe).recipe, params.profile))
    assert params.recipe == "nano", "another recipe lives on a branch of its own"

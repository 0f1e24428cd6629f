import sys
from pathlib import Path

import pytest

from yulan.errors import RecipeError, StateError
from yulan.layout import Layout, Place, find_root, recipe_file, recipe_names, require_clone_environment, shipped


def test_an_artifact_is_a_manifest_beside_its_data(tmp_path: Path):
    layout = Layout(root=tmp_path, recipe="nano")
    place = layout.stage("train", "phase-01")
    assert place == Place(folder=tmp_path / "artifacts" / "nano" / "train" / "phase-01")
    assert (place.data, place.manifest) == (place.folder / "data", place.folder / "manifest.json")
    assert layout.stage("clean").folder == tmp_path / "artifacts" / "nano" / "clean"


def test_a_phase_starts_from_init_or_from_another_phase(tmp_path: Path):
    layout = Layout(root=tmp_path, recipe="nano")
    assert layout.parent("init") == layout.stage("init")
    assert layout.parent("phase-01") == layout.stage("train", "phase-01")


def test_nothing_lies_outside_the_clone(tmp_path: Path):
    layout = Layout(root=tmp_path, recipe="nano")
    paths = [layout.downloads, layout.tracking, layout.runs("phase-01", "ab" * 32), layout.spend(), layout.record("ab" * 32)]
    assert all(path.is_relative_to(tmp_path) for path in paths)


def test_runs_of_different_keys_never_share_a_folder(tmp_path: Path):
    layout = Layout(root=tmp_path, recipe="nano")
    assert layout.runs("phase-01", "a" * 64) != layout.runs("phase-01", "b" * 64)


def test_the_clone_is_found_from_any_folder_in_it(copied: Path):
    inner = copied / "recipes" / "nano"
    assert find_root(inner) == find_root(copied) == copied.resolve()


def test_outside_a_clone_one_is_told_to_change_into_it(tmp_path: Path):
    with pytest.raises(StateError, match=r"not inside a clone of this project\. Change into the clone"):
        find_root(tmp_path)


def test_recipes_are_folders_with_a_recipe(copied: Path):
    (copied / "recipes" / "notes").mkdir()
    assert recipe_names(copied) == ["nano"]
    assert recipe_file(copied, "nano").is_file()


def test_an_unknown_recipe_is_named_with_those_there_are(copied: Path, tmp_path_factory: pytest.TempPathFactory):
    with pytest.raises(RecipeError, match=r"no recipe named 'nanno'\. Choose one of: nano"):
        recipe_file(copied, "nanno")
    with pytest.raises(RecipeError, match="Choose one of: none"):
        recipe_file(tmp_path_factory.mktemp("bare"), "nano")


def test_a_recipes_name_cannot_lead_out_of_its_folder(copied: Path):
    with pytest.raises(RecipeError, match="no recipe named"):
        recipe_file(copied, "../recipes/nano")


def test_a_stage_runs_with_the_clones_own_python(copied: Path):
    (copied / ".venv").symlink_to(sys.prefix)
    require_clone_environment(copied)
    (copied / ".venv").unlink()
    with pytest.raises(StateError, match=r"this is not the clone's environment\. Run it as: make repro") as raised:
        require_clone_environment(copied)
    assert str(raised.value.where) == sys.prefix


def test_schemas_and_profiles_are_shipped():
    assert (shipped("schemas") / "recipe.json").is_file()
    assert (shipped("profiles") / "cpu-2.yaml").is_file()

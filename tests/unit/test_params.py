from pathlib import Path

import pytest

from yulan.errors import RecipeError
from yulan.params import layout_here, params_for, read_params, write_params
from yulan.recipe import load_recipe


def test_params_read_back_and_point_along_the_path(copied: Path):
    recipe = load_recipe(copied, "nano").recipe
    write_params(copied, params_for(recipe, "cpu-2"))
    params = read_params(copied)
    assert params == params_for(recipe, "cpu-2")
    assert (params.phases["phase-01"].parent, params.phases["phase-01"].before) == ("init", "tokenizer")
    assert (params.phases["phase-02"].parent, params.phases["phase-02"].before) == ("train/phase-01", "mix/phase-01")


def test_the_layout_is_that_of_the_recipe_in_use(copied: Path, monkeypatch: pytest.MonkeyPatch):
    write_params(copied, params_for(load_recipe(copied, "nano").recipe, "cpu-2"))
    monkeypatch.chdir(copied / "recipes")
    assert layout_here().recipe == "nano"
    assert layout_here().root == copied.resolve()


def test_words_for_a_shell_are_refused(copied: Path):
    write_params(copied, params_for(load_recipe(copied, "nano").recipe, "cpu-2"))
    path = copied / "params.yaml"
    path.write_text(path.read_text().replace("recipe: nano", 'recipe: "nano; touch X"'))
    with pytest.raises(RecipeError, match=r"\$\.recipe: 'nano; touch X' does not match"):
        read_params(copied)


def test_a_clone_without_params_says_so(copied: Path):
    with pytest.raises(RecipeError, match=r"params\.yaml: no such file"):
        read_params(copied)

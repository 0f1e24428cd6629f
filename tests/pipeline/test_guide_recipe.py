"""docs/guides/recipe.md as someone follows it, in a clean clone: its commands in their order, its file where it says."""

import re
from pathlib import Path

import pytest

from tests.pipeline.clone import Clone, make_clone
from yulan.mix import load_mix

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "recipe.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.S)
BUILD = ".venv/bin/dvc repro train@phase-02"
"""Building is test_road.py's."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return make_clone(tmp_path_factory.mktemp("guide") / "clone")


@pytest.mark.slow
def test_the_guides_recipe_lints_plans_and_shows_its_graph(clone: Clone):
    begin, look, build = BLOCKS
    clone.run("sh", "-ec", begin)
    mix = clone.root / "recipes" / "mine" / "mixes" / "phase-02.yaml"
    mix.write_text(re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)[0])
    assert load_mix(mix).sources["code/networkx"].weight == 40
    said = clone.run("sh", "-ec", look.replace(".venv/bin/yulan", ".venv/bin/python -m yulan.cli")).stdout
    assert "error " not in said
    assert "to phase-03-short" in said
    stages = set(re.findall(r'\["([\w@-]+)"\]', said))
    assert {"sources", "mix@phase-02", "train@phase-01", "train@phase-02"} <= stages
    assert "train@phase-03" not in stages
    assert build.startswith(BUILD)


def test_the_guides_links_and_schemas_are_there():
    for link in re.findall(r"\]\(([^)#]+)[)#]", GUIDE):
        assert (ROOT / "docs" / "guides" / link).exists(), link
    for path in re.findall(r"`((?:schemas|yulan|recipes/nano)[/\w.-]*)`", GUIDE):
        assert (ROOT / path).exists(), path

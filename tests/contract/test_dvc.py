"""The graph: what a shell is given, what is depended on, and that every stage has its module."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from yulan.layout import recipe_names
from yulan.params import params_for, write_params
from yulan.profile import profile_names
from yulan.recipe import load_recipe
from yulan.report.gather import READ

ROOT = Path(__file__).parents[2]
GRAPH: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = {name: stage.get("do", stage) for name, stage in GRAPH["stages"].items()}
NAME = re.compile(r"[a-z0-9-]+")


def paths(stage: dict[str, Any], key: str) -> list[str]:
    return [next(iter(each)) if isinstance(each, dict) else each for each in stage.get(key, [])]


@pytest.mark.parametrize("name", STAGES)
def test_a_shell_is_given_nothing_but_the_phases_key(name: str):
    told = STAGES[name]["cmd"]
    assert set(re.findall(r"\$\{([^}]*)\}", told)) <= {"key"}
    assert re.fullmatch(rf"exec \.venv/bin/python -m pipelines\.{name}( \$\{{key\}})?", told)
    assert ("${key}" in told) == ("foreach" in GRAPH["stages"][name])


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_a_module_that_does_its_work(name: str):
    path = ROOT / "pipelines" / f"{name}.py"
    module = ast.parse(path.read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.FunctionDef) and node.name == "work" for node in module.body)
    assert f'run("{name}", work)' in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_one_output_and_its_manifest_as_a_metric(name: str):
    stage, phase = STAGES[name], "/${key}" if "foreach" in GRAPH["stages"][name] else ""
    assert stage["outs"] == [f"artifacts/${{recipe}}/{name}{phase}/data"]
    assert stage["metrics"] == [{f"artifacts/${{recipe}}/{name}{phase}/manifest.json": {"cache": False}}]
    assert stage["desc"]


def test_bytecode_is_no_input_of_a_stage():
    assert "__pycache__/" in (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()


def test_no_output_persists():
    assert "persist" not in (ROOT / "dvc.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_depends_on_in_the_clone_is_there(name: str):
    for path in paths(STAGES[name], "deps"):
        if not path.startswith("artifacts/") and "${item" not in path:
            assert (ROOT / path.replace("${recipe}", "nano")).exists(), path


@pytest.mark.parametrize("name", [name for name in STAGES if name not in ("train",)])
def test_a_cheap_stage_depends_on_its_module(name: str):
    assert f"pipelines/{name}.py" in paths(STAGES[name], "deps")


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_opens_is_what_it_depends_on(name: str):
    module = ast.parse((ROOT / "pipelines" / f"{name}.py").read_text(encoding="utf-8"))
    opened = {
        node.args[0].value
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "open"
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    opened |= set(READ) if name == "figures" else set()
    told = {path.removeprefix("artifacts/${recipe}/") for path in paths(STAGES[name], "deps")}
    by_item = {"init": "${item.parent}", "train": "${item.parent}", "mix": "${item.before}"}
    # A manifest quotes its inputs' digests, so whatever changes one must make the stage run again.
    for each in opened:
        ways = {each, f"{each}/manifest.json", f"{each}/${{key}}/manifest.json", f"{by_item.get(each)}/manifest.json"}
        assert ways & told, f"{name} opens {each} and does not depend on its manifest"


def test_training_depends_on_no_code():
    assert not [path for path in paths(STAGES["train"], "deps") if path.endswith(".py") or path.startswith("yulan")]


def test_every_name_that_reaches_the_graph_is_plain():
    names = [*STAGES, *recipe_names(ROOT), *profile_names()]
    names += [phase for recipe in recipe_names(ROOT) for phase in load_recipe(ROOT, recipe).recipe.phases]
    assert all(NAME.fullmatch(name) for name in names)


@pytest.mark.parametrize("name", STAGES)
def test_recipe_keys_that_a_stage_names_exist(name: str):
    recipe = load_recipe(ROOT, "nano").recipe
    for each in STAGES[name].get("params", []):
        for keys in each.values():
            for key in keys:
                recipe.keys(key.replace("${key}", next(iter(recipe.phases))))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in recipe_names(ROOT) if name != "nano"])
def test_dvc_dag_shows_the_graph_of_every_recipe(tmp_path: Path, name: str):
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    shutil.copytree(ROOT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "*.local"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    recipe = load_recipe(ROOT, name).recipe
    write_params(tmp_path, params_for(recipe, "cpu-2"))
    shown = subprocess.run(
        [Path(sys.executable).with_name("dvc"), "dag", "--dot"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    for phase, section in recipe.phases.items():
        parent = "init" if section.after == "init" else f"train@{section.after}"
        assert f'"{parent}" -> "train@{phase}"' in shown.stdout

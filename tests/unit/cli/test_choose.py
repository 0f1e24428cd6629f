"""`use`, `show` and `plan` in a clone made for the test."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from yulan import files, manifest
from yulan.cli import main
from yulan.layout import Layout

HERE = Path(__file__).resolve().parents[3]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(HERE / "recipes", tmp_path / "recipes")
    shutil.copy(HERE / "dvc.yaml", tmp_path)
    shutil.copytree(tmp_path / "recipes" / "nano", tmp_path / "recipes" / "other")
    path = tmp_path / "recipes" / "other" / "recipe.yaml"
    path.write_text(path.read_text().replace("name: nano", "name: other"))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def say(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_use_writes_the_phase_tree_as_dvc_needs_it(root: Path):
    assert say("use", "nano", "--profile", "cpu-1").exit_code == 0
    text = (root / "params.yaml").read_text()
    assert "profile: cpu-1" in text
    assert "parent: train/phase-02" in text


def test_use_keeps_the_profile_unless_told(root: Path):
    say("use", "nano", "--profile", "cpu-1")
    say("use", "nano")
    assert "profile: cpu-1" in (root / "params.yaml").read_text()


def test_use_refuses_a_switch_while_the_lock_is_uncommitted(root: Path):
    say("use", "nano")
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    done = say("use", "other")
    assert done.exit_code == 6
    assert "dvc.lock is not committed" in done.stderr
    assert "recipe: nano" in (root / "params.yaml").read_text()


def test_an_unknown_recipe_is_answered_with_the_known_ones(root: Path):
    done = say("use", "nanno")
    assert done.exit_code == 3
    assert "no recipe named 'nanno'" in done.stderr
    assert "Choose one of: nano, " in done.stderr


def test_an_unknown_profile_is_answered_with_the_nearest(root: Path):
    done = say("use", "nano", "--profile", "cpu-3")
    assert done.exit_code == 3
    assert "no profile named 'cpu-3'" in done.stderr
    assert "Did you mean" in done.stderr


def test_an_unknown_phase_is_answered_with_the_nearest(root: Path):
    say("use", "nano")
    done = say("show", "phase", "phase-3")
    assert done.exit_code == 3
    assert "no phase named 'phase-3'" in done.stderr
    assert "Did you mean 'phase-03'?" in done.stderr


def test_show_phase_gives_out_every_token_of_the_budget(root: Path):
    say("use", "nano")
    rows = [line.split() for line in say("show", "phase", "phase-01").stdout.splitlines()]
    quotas = [int(row[0].replace(",", "")) for row in rows]
    assert sum(quotas[:-1]) == quotas[-1] == 655360


def test_show_recipe_as_json_hashes_to_the_digest_it_prints(root: Path):
    from yulan import digest

    say("use", "nano")
    assert digest.of_json(json.loads(say("show", "recipe", "--json").stdout)) in say("show", "recipe").stdout


def test_plan_adds_up_its_phases(root: Path):
    say("use", "nano")
    made = json.loads(say("plan", "--json").stdout)
    assert [phase["steps"] for phase in made["phases"]] == [160, 100, 60, 60]
    assert sum(phase["tokens"] for phase in made["phases"]) == 4096 * 380
    assert all(phase["seconds"] > 0 for phase in made["phases"])


def test_plan_tells_what_packing_lost_once_the_mix_is_there(root: Path):
    say("use", "nano")
    layout = Layout(root=root, recipe="nano")
    assert "are padding" not in say("plan").stdout
    lost = {"packing": "whole", "tokens": 245760, "padding": 1264, "left_out": 1263, "cut_documents": 22}
    for phase, summary in (("phase-02", {"padding": 1}), ("phase-03", lost)):
        place = layout.stage("mix", phase)
        files.make_folder(place.data)
        manifest.seal(place, layout, stage="mix", phase=phase, inputs={}, keys={}, summary=summary)
    said = [line for line in say("plan").stdout.splitlines() if "are padding" in line]
    assert said == ["phase-03, packed whole: 1,264 of 245,760 inputs are padding, 1,263 ids left out, 22 documents cut"]


def test_outside_a_clone_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done = say("plan")
    assert done.exit_code == 6
    assert "not inside a clone of this project" in done.stderr


def test_a_mistyped_verb_is_answered_with_the_nearest():
    done = say("publsh")
    assert done.exit_code == 2
    assert "Did you mean 'publish'?" in done.stderr


def test_pages_without_a_store_are_refused(root: Path):
    say("use", "nano")
    done = say("track", "ui")
    assert done.exit_code == 6
    assert "no training was tracked yet" in done.stderr

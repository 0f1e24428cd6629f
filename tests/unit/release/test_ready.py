"""What publish asks of a clone before it asks a hub."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.release.kit import judge
from yulan import files
from yulan.errors import IntegrityError, StateError
from yulan.layout import Layout
from yulan.release.ready import require_built, require_committed, require_judged


def test_a_judged_bundle_is_ready(layout: Layout):
    assert require_judged(layout).verdict.verdict == "pass"


def test_a_failed_gate_is_told_rule_by_rule(layout: Layout):
    judge(layout, "fail")
    with pytest.raises(StateError, match="the gate failed this bundle") as told:
        require_judged(layout)
    assert told.value.evidence == ("files-listed: extra  x",)


def test_a_verdict_on_another_bundle_does_not_count(layout: Layout):
    judge(layout, bundle="0" * 64)
    with pytest.raises(StateError, match="the gate judged another bundle"):
        require_judged(layout)


def test_an_edited_bundle_does_not_pass(layout: Layout):
    (layout.stage("bundle").data / "model" / "main" / "README.md").write_text("# better")
    with pytest.raises(IntegrityError, match="does not match its manifest"):
        require_judged(layout)


def test_a_clone_without_a_bundle_is_told_what_to_run(tmp_path: Path):
    with pytest.raises(StateError, match=r"bundle: is not there. Build it with: dvc repro gate"):
        require_judged(Layout(root=tmp_path, recipe="tiny"))


def test_tracked_files_must_equal_the_commit_but_for_results(layout: Layout):
    assert len(require_committed(layout.root)) == 40
    (layout.root / "dvc.lock").write_text("changed\n")
    (layout.root / "untracked").write_text("")
    assert len(require_committed(layout.root)) == 40
    (layout.root / "README.md").write_text("changed\n")
    with pytest.raises(StateError, match="the tree is dirty") as told:
        require_committed(layout.root)
    assert told.value.evidence == ("README.md",)
    subprocess.run(["git", "add", "README.md"], cwd=layout.root, check=True)
    with pytest.raises(StateError, match="the tree is dirty"):
        require_committed(layout.root)


def test_a_folder_without_git_is_refused(tmp_path: Path):
    with pytest.raises(StateError, match="git does not know this folder"):
        require_committed(tmp_path)


def test_without_git_itself_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StateError, match="git is not installed"):
        require_committed(tmp_path)


@pytest.mark.slow
def test_dvc_is_asked_whether_anything_is_left_to_do(tmp_path: Path):
    with pytest.raises(StateError, match="dvc status failed"):
        require_built(tmp_path)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    (tmp_path / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo 1 > out\n    outs: [out]\n")
    with pytest.raises(StateError, match=r"dvc.lock is not up to date") as told:
        require_built(tmp_path)
    assert told.value.evidence == ("one",)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=tmp_path, check=True)
    require_built(tmp_path)


@pytest.mark.slow
def test_a_removal_alone_does_not_ask_for_all_to_be_built_again(tmp_path: Path):
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    listed, other = tmp_path / "recipes/tiny/removed.yaml", tmp_path / "recipes/tiny/recipe.yaml"
    for path in (listed, other):
        files.write_text(path, "one\n")
    deps = "deps: [recipes/tiny/removed.yaml, recipes/tiny/recipe.yaml]"
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  one:\n    cmd: echo 1 > out\n    outs: [out]\n    {deps}\n")
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=tmp_path, check=True)
    files.write_text(listed, "two\n")
    require_built(tmp_path)
    files.write_text(other, "two\n")
    with pytest.raises(StateError, match=r"dvc.lock is not up to date"):
        require_built(tmp_path)

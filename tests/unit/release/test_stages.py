"""The three stages as DVC runs them, and `yulan publish` on what they made."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import gate
from tests.pipeline.clone import HERE
from tests.unit.release.judged import make_judged, stage
from tests.unit.release.kit import NAME, contents, start_git
from yulan import manifest
from yulan.errors import IntegrityError
from yulan.layout import Layout
from yulan.params import params_for, write_params
from yulan.rehearsal import running_hub
from yulan.release.export import end_of
from yulan.release.gate.judge import RULES
from yulan.release.verdict import read_verdict

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return make_judged(tmp_path_factory.mktemp("judged") / "clone")


def test_the_stages_leave_a_bundle_with_a_passing_verdict(judged: Layout):
    made = manifest.require_whole(judged.stage("bundle"))
    verdict = read_verdict(judged.stage("gate").data)
    assert verdict.verdict == "pass"
    assert verdict.bundle == made.digest
    assert manifest.read(judged.stage("gate").manifest).summary == {"rules": len(RULES), "passed": len(RULES) - 1, "waived": 1}
    lineage = judged.stage("bundle").data / "states" / "main" / "lineage"
    assert json.loads((lineage / "train" / "phase-01.json").read_text())["stage"] == "train"


def test_the_stage_prints_duties_waivers_and_counts(judged: Layout, capsys: pytest.CaptureFixture[str]):
    gate.work(stage(judged, "gate"))
    said = capsys.readouterr().out
    assert "duties-met: code/networkx: BSD-3-Clause, name NetworkX developers\n" in said
    assert "licences-stated: en/wiki: " in said
    assert "licences-counted: unknown: 50.0% of 16,384 tokens; no text published\n" in said


def test_a_rule_that_fails_stops_the_stage_and_is_named(judged: Layout, tmp_path: Path):
    other = Layout(root=tmp_path / "clone", recipe="tiny")
    shutil.copytree(judged.root, other.root)
    place = other.stage("bundle")
    (place.data / "model" / "main" / "notes.txt").write_text("x")
    manifest.seal(place, other, stage="bundle", inputs={}, keys={}, summary={})
    with pytest.raises(IntegrityError, match=f"1 of {len(RULES)} rules fail") as told:
        gate.work(stage(other, "gate"))
    assert told.value.evidence == ("files-listed: model/main: extra    notes.txt",)


def test_the_command_publishes_only_what_is_committed_and_built(judged: Layout, tmp_path: Path):
    root = judged.root
    shutil.copy(HERE / "params.yaml", root)
    from yulan.recipe import load_recipe

    write_params(root, params_for(load_recipe(root, "tiny").recipe, "cpu-1"))
    (root / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo 1 > out\n    outs: [out]\n")
    (root / ".gitignore").write_text("artifacts\nruns\n.dvc\n.dvcignore\nout\n")
    start_git(root)
    for words in (["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", *words], cwd=root, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=root, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=root, check=True)
    token = tmp_path / "token"

    def yulan(*words: str) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if k != "HF_TOKEN"} | {"HOME": str(tmp_path), "PYTHONPATH": str(HERE)}
        command = [sys.executable, "-m", "yulan.cli", *words]
        return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)

    with running_hub(tmp_path / "hub") as served:
        token.write_text(served.token)
        plan = yulan("publish", "--dry-run")
        assert [row["id"] for row in json.loads(plan.stdout)["repos"]] == [f"{NAME}-data", f"{NAME}-states", NAME]
        nobody = yulan("publish", "--to", served.url, "--unsigned")
        assert nobody.returncode == 7
        assert f"Error: {served.url}: no token. Set HF_TOKEN" in nobody.stderr

        words = ("publish", "--to", served.url, "--unsigned", "--all-checkpoints", "--token-file", str(token))
        done = yulan(*words)
        assert done.returncode == 0, done.stderr
        assert "record artifacts/tiny/publications/0001.json" in done.stdout
        again = yulan(*words)
        assert "already published" in again.stdout
        pulled = yulan("pull", f"hf://{NAME}@final", "--from", served.url, "--into", str(tmp_path / "final"))
        assert "all match" in pulled.stdout
        assert contents(tmp_path / "final") == contents(judged.stage("bundle").data / "model" / "main")

        (root / "dvc.yaml").write_text((root / "dvc.yaml").read_text().replace("echo 1", "echo 2"))
        dirty = yulan("publish", "--to", served.url, "--unsigned", "--token-file", str(token))
        assert dirty.returncode == 6
        assert "dvc.yaml" in dirty.stderr
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "-qam", "two"], cwd=root, check=True
        )
        stale = yulan("publish", "--to", served.url, "--unsigned", "--token-file", str(token))
        assert stale.returncode == 6
        assert "dvc.lock is not up to date" in stale.stderr


def test_a_final_is_the_leaf_of_a_path(judged: Layout):
    from yulan.recipe import load_recipe

    recipe = load_recipe(judged.root, "tiny").recipe
    ends = [end_of(recipe, phase, judged.stage("train", phase).data) for phase in recipe.phases]
    assert [end.architecture for end in ends] == ["yulanmini", "yulanmini", "llama", "llama"]

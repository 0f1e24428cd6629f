"""The whole road at the smallest size: raw text, training, release, publication, and back into another clone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from clone import Clone, hub, make_built, make_clone

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return make_built(tmp_path_factory.mktemp("road") / "clone")


def artifact(clone: Clone, *parts: str) -> dict:
    return json.loads((clone.root / "artifacts" / "tiny" / Path(*parts) / "manifest.json").read_text())


def test_a_second_repro_does_no_work(built: Clone):
    done = built.dvc("repro")
    assert "Running stage" not in done.stdout


def test_every_artifact_names_its_inputs_by_content(built: Clone):
    from yulan import manifest

    folder = built.root / "artifacts" / "tiny"
    places = [p.parent.relative_to(folder).as_posix() for p in sorted(folder.glob("**/manifest.json"))]
    found = {name: manifest.read(folder / name / "manifest.json") for name in places if "data" not in name.split("/")}
    digests = {name: made.digest for name, made in found.items()}
    assert len(digests) >= 20
    for name, made in found.items():
        for upstream, digest in made.inputs.items():
            if upstream.replace("@", "/") in digests:
                assert digests[upstream.replace("@", "/")] == digest, f"{name} names another {upstream}"


def test_no_host_user_or_path_is_in_any_manifest_or_record(built: Clone):
    for path in (built.root / "artifacts" / "tiny").rglob("*.json"):
        if "data" in path.parts:
            continue
        text = path.read_text()
        assert str(built.root) not in text, path
        assert os.uname().nodename not in text or len(os.uname().nodename) < 4, path


def test_a_key_of_one_phase_reruns_it_and_its_successors_only(built: Clone):
    path = built.root / "recipes" / "tiny" / "recipe.yaml"
    before = path.read_text()
    try:
        head, tail = before.split("  phase-03:\n")
        path.write_text(head + "  phase-03:\n" + tail.replace("every: 4", "every: 5", 1))
        status = json.loads(built.dvc("status", "--json").stdout)
        touched = {name for name in status if name.startswith(("mix", "train", "evaluate"))}
        # What follows from them reruns when their outputs have changed.
        assert touched == {"mix@phase-03", "train@phase-03"}
    finally:
        path.write_text(before)
    assert built.dvc("status", "--json").stdout.strip() == "{}"


def test_a_deleted_output_comes_back_from_the_cache(built: Clone):
    import shutil

    shutil.rmtree(built.root / "artifacts" / "tiny" / "shards" / "data")
    done = built.dvc("repro", "shards")
    assert "Running stage" not in done.stdout
    assert (built.root / "artifacts" / "tiny" / "shards" / "data" / "shards.json").exists()


def test_another_clone_trains_one_phase_from_the_remote(built: Clone, tmp_path: Path):
    built.dvc("push", "--run-cache")
    other = make_clone(tmp_path / "other", built.root)
    other.dvc("remote", "modify", "--local", "local", "url", str(built.root / ".dvc-remote"))
    refused = other.run(".venv/bin/python", "-m", "pipelines.train", "phase-03", check=False)
    assert refused.returncode == 6
    assert "dvc pull" in refused.stderr
    assert "Traceback" not in refused.stderr
    before = artifact(built, "train", "phase-03")
    done = other.dvc("repro", "--pull", "--allow-missing", "train@phase-03")
    assert "train@phase-01" not in [w for line in done.stdout.splitlines() if "Running" in line for w in line.split("'")]
    assert artifact(other, "train", "phase-03") == before
    other.dvc("pull")
    assert "Running stage" not in other.dvc("repro").stdout


@pytest.mark.large
def test_a_build_at_another_commit_and_time_has_equal_contents_up_to_the_order(built: Clone, tmp_path: Path):
    other = make_clone(tmp_path / "again", built.root)
    other.run("git", "rm", "-q", "-r", "--cached", "dvc.lock", "artifacts")
    for name in ("dvc.lock", "artifacts"):
        other.run("rm", "-rf", name)
    other.commit("Forget what was built")
    other.dvc("repro", "mix@phase-03", "mix@phase-03-short")
    folder = built.root / "artifacts" / "tiny"
    before = {path.relative_to(folder): path.read_bytes() for path in folder.glob("**/manifest.json")}
    again = other.root / "artifacts" / "tiny"
    made = {path.relative_to(again): path.read_bytes() for path in again.glob("**/manifest.json")}
    assert len(made) >= 11
    assert made == {name: before[name] for name in made}


def test_a_killed_repro_leaves_no_rank_and_resumes_to_the_same_bytes(built: Clone, tmp_path: Path):
    other = make_clone(tmp_path / "killed", built.root)
    other.dvc("remote", "modify", "--local", "local", "url", str(built.root / ".dvc-remote"))
    other.dvc("pull", "mix@phase-01", "shards", "init")
    command = [".venv/bin/dvc", "repro", "-f", "-s", "train@phase-01"]
    run = subprocess.Popen(command, cwd=other.root, env=other.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 120
    while not list(other.root.glob("runs/tiny/phase-01/*/**/step-000004/manifest.json")) and time.time() < deadline:
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    time.sleep(2)
    assert not [p for p in Path("/proc").glob("[0-9]*/cwd") if _reads(p) == str(other.root)]
    other.dvc("repro", "-f", "-s", "train@phase-01")
    assert artifact(other, "train", "phase-01") == artifact(built, "train", "phase-01")


def _reads(link: Path) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def test_a_release_goes_out_and_comes_back(built: Clone, tmp_path: Path):
    """pull(publish(x)) == x, and a second user trains on from it on one process."""
    with hub(built, tmp_path / "hub") as (url, token):
        repo = "yulan-nano/YuLan-Nano"
        key = tmp_path / "key"
        built.yulan("key", "new", str(key))
        wrong = built.yulan("publish", "--to", url, "--key", str(key), check=False, HF_TOKEN="hf_wrong")
        assert wrong.returncode == 7
        assert "Traceback" not in wrong.stderr
        words = ["publish", "--to", url, "--key", str(key), "--all-checkpoints"]
        built.yulan(*words, HF_TOKEN=token)
        again = built.yulan(*words, HF_TOKEN=token)
        assert "Traceback" not in again.stderr

        stranger = make_clone(tmp_path / "stranger", built.root)
        final = tmp_path / "final"
        stranger.yulan("pull", f"hf://{repo}@final", "--from", url, "--into", str(final), HF_TOKEN=token)
        assert f"signed as {repo}@main" in stranger.yulan("verify", str(final), "--key", f"{key}.pub").stdout
        original = built.root / "artifacts" / "tiny" / "bundle" / "data" / "model" / "main"
        assert {name: data for name, data in _bytes(final).items() if not name.endswith(".sig")} == _bytes(original)

        states = tmp_path / "states"
        revision = "phase-02-step-000024"
        stranger.yulan("pull", f"hf://{repo}-states@{revision}", "--from", url, "--into", str(states), HF_TOKEN=token)
        stranger.dvc("remote", "modify", "--local", "local", "url", str(built.root / ".dvc-remote"))
        built.dvc("push")
        stranger.dvc("pull", "mix@phase-03-short", "shards")
        into = tmp_path / "continued"
        done = stranger.yulan("continue", str(states), "--phase", "phase-03-short", "--profile", "cpu-1", "--into", str(into))
        assert "CLOSE" in done.stdout
        assert list(into.glob("**/step-000032/manifest.json"))

        own = tmp_path / "own"
        text = write_own_text(tmp_path)
        words = ["--phase-file", str(tmp_path / "mine.yaml"), "--data", str(text), "--profile", "cpu-1", "--into", str(own)]
        # By the model's name and in one step: its pinned states are pulled first.
        address = [f"hf://{repo}@{revision}", "--from", url, "--key", f"{key}.pub"]
        stranger.yulan("continue", *address, *words)
        assert "signed as" in stranger.yulan("verify", f"YuLan-Nano-states-{revision}", "--key", f"{key}.pub").stdout
        assert json.loads((own / "continued.json").read_text())["recipe"] == "tiny-mine"
        assert "all match" in stranger.yulan("verify", str(own / "checkpoints" / "step-000028")).stdout

        (final / "config.json").write_text("{}")
        tampered = stranger.yulan("verify", str(final), check=False)
        assert tampered.returncode == 5
        assert "changed  config.json" in tampered.stderr


def write_own_text(folder: Path) -> Path:
    """Text of one's own, and beside it `mine.yaml`: four steps that anneal phase-02 on it."""
    phase = {
        "name": "mine",
        "after": "phase-02",
        "regime": "anneal",
        "peak": 0.02,
        "warmup": None,
        "decay": 4,
        "tokens": 4 * 4 * 64,
        "context": 64,
        "packing": "stream",
        "rope_theta": 10000.0,
        "batch": 4,
        "grid": 4,
        "checkpoints": {"every": 4, "keep": 1},
        "rebalance": False,
        "mix": {"total": 1, "sources": {"notes": {"weight": 1, "repeats": 9}}},
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(phase))
    rows = [json.dumps({"text": f"Note {n} says that {n} and {n + 1} are {2 * n + 1}."}) + "\n" for n in range(200)]
    (folder / "notes.jsonl").write_text("".join(rows))
    return folder / "notes.jsonl"


def _bytes(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_dirty_tree_is_not_published(built: Clone, tmp_path: Path):
    readme = built.root / "README.md"
    before = readme.read_text()
    readme.write_text(before + "\nchanged\n")
    try:
        done = built.yulan("publish", "--to", "http://127.0.0.1:9", "--unsigned", check=False, HF_TOKEN="hf_any")
        assert done.returncode == 6
        assert "README.md" in done.stderr
    finally:
        readme.write_text(before)

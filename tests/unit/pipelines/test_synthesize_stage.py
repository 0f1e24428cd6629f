"""The stage `synthesize` on an endpoint, as DVC starts it: killed, started again, and equal to one that nobody touched."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.unit.data.faulty_server import Server, serve
from tests.unit.data.gguf_kit import write_gguf
from yulan import digest, files, manifest
from yulan.data.synthesize.ledger import ROWS, SEALED
from yulan.layout import Layout
from yulan.params import params_for, write_params
from yulan.recipe import load_recipe
from yulan.train.sweep import sweep

ROOT = Path(__file__).parents[3]
ROWS_ASKED = 40
SEEDS = 60
FAMILY = {"task": "problem", "rows": ROWS_ASKED, "samples": 1, "max_new_tokens": 50, "temperature": 0.0, "top_p": 1.0}
FAMILY |= {"stop": ["<END>"], "check": "none", "options": {"source": "seeds"}}
# The server says the words of a prompt in reverse, so this prompt comes back as a problem and its solution.
TEMPLATE = "{text} [Solution] question A [Problem]"


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as found:
        yield found


def clone(root: Path, address: str | None) -> Layout:
    """Nano with one family on an endpoint, and a stage `sources` that holds its seeds."""
    shutil.copytree(ROOT / "recipes/nano", root / "recipes/nano")
    folder = root / "recipes/nano"
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    recipe["data"]["synthesize"] |= {"model": {"name": "a/model", "revision": "1", "chat": True}, "families": {"it": FAMILY}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    (folder / "prompts/it.txt").write_text(TEMPLATE)
    sources = yaml.safe_load((folder / "sources.yaml").read_text())
    sources["sources"]["seeds"] = sources["sources"]["code/networkx"] | {
        "paths": ["seeds/*.txt"],
        "reader": "code",
        "exclude": [],
        "options": {},
    }
    (folder / "sources.yaml").write_text(yaml.safe_dump(sources, sort_keys=False, allow_unicode=True))
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / ".venv").symlink_to(sys.prefix)
    profile = yaml.safe_load((ROOT / "pipelines/profiles/cpu-1.yaml").read_text())
    if address is not None:
        profile["endpoint"] = {"address": address, "served": None, "parallel": 4, "timeout": 20.0, "tries": 2, "key": False}
    (root / "mine.yaml").write_text(yaml.safe_dump(profile))
    write_params(root, params_for(load_recipe(root, "nano").recipe, "cpu-1"))
    params = yaml.safe_load((root / "params.yaml").read_text())
    (root / "params.yaml").write_text(yaml.safe_dump(params | {"profile": "mine.yaml"}))
    layout = Layout(root=root, recipe="nano")
    for n in range(SEEDS):
        files.write_text(layout.stage("sources").data / f"networkx/seeds/{n:02}.txt", f"seed {n} is here")
    manifest.seal(layout.stage("sources"), layout, stage="sources", inputs={}, keys={}, summary={})
    return layout


def begin(root: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "pipelines.synthesize"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(root: Path) -> "tuple[int, str]":
    with begin(root) as process:
        _, said = process.communicate()
    return process.returncode, said


@pytest.mark.slow
def test_a_killed_stage_asks_only_what_is_missing_and_ends_with_the_same_bytes(tmp_path: Path, server: Server):
    calm = clone(tmp_path / "calm", server.address)
    assert finish(calm.root) == (0, "")
    whole = manifest.read(calm.stage("synthesize").manifest)
    assert whole.summary["families"]["it"]["kept"] == ROWS_ASKED
    assert len(server.seen) == ROWS_ASKED
    server.seen.clear()
    server.delay = 0.15
    killed = clone(tmp_path / "killed", server.address)
    with begin(killed.root) as process:
        deadline = time.monotonic() + 120
        while len(server.seen) < 12 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    time.sleep(0.4)
    paid = len(server.seen)
    assert not killed.stage("synthesize").manifest.exists()
    (ledger,) = killed.runs("synthesize", "*").parent.glob(f"*/{ROWS}")
    kept = ledger.read_text().count("\n")
    assert paid - 2 * 4 <= kept <= paid < ROWS_ASKED
    assert finish(killed.root) == (0, "")
    assert len(server.seen) == paid + ROWS_ASKED - kept
    assert manifest.read(killed.stage("synthesize").manifest) == whole
    # DVC takes the output away before a stage runs; what was paid for stays until `yulan gc`.
    shutil.rmtree(killed.stage("synthesize").folder)
    assert finish(killed.root) == (0, "")
    assert len(server.seen) == paid + ROWS_ASKED - kept
    assert manifest.read(killed.stage("synthesize").manifest) == whole
    assert (ledger.parent / SEALED).exists()
    assert [folder for folder, _ in sweep(killed)] == [ledger.parent.relative_to(killed.root)]
    assert sweep(killed) == []


@pytest.mark.slow
def test_answers_that_no_artifact_was_made_of_are_not_swept(tmp_path: Path, server: Server):
    server.faults = [""] * 5 + ["status 400"] * 100
    layout = clone(tmp_path, server.address)
    code, said = finish(layout.root)
    assert (code, said.splitlines()[0].startswith(f"Error: {server.address}: the endpoint refuses the request")) == (7, True)
    assert sweep(layout) == []


@pytest.mark.slow
def test_a_profile_without_an_endpoint_is_one_line(tmp_path: Path):
    layout = clone(tmp_path, None)
    code, said = finish(layout.root)
    assert (code, said.count("\n")) == (3, 1)
    assert "the recipe asks a/model and the profile has no endpoint" in said


@pytest.mark.slow
def test_the_local_model_names_its_determinism_and_a_recipe_may_ask_nothing(tmp_path: Path):
    layout = clone(tmp_path, None)
    recipe = yaml.safe_load((tmp_path / "recipes/nano/recipe.yaml").read_text())
    recipe["data"]["synthesize"] |= {"model": None, "families": {}}
    (tmp_path / "recipes/nano/recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    generator = load_recipe(tmp_path, "nano").sources.require_generator()
    path = layout.stage("sources").data / generator.package / generator.path
    path.parent.mkdir(parents=True)
    write_gguf(path)
    manifest.seal(layout.stage("sources"), layout, stage="sources", inputs={}, keys={}, summary={})
    assert finish(layout.root) == (0, "")
    made = manifest.read(layout.stage("synthesize").manifest)
    assert made.summary == {"generator": digest.of_file(path), "families": {}}
    assert made.determinism is not None
    assert made.determinism.precision == "fp32"

"""Stock tools take up an exported checkpoint and walk on as ours does."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch.serialization import get_unsafe_globals_in_checkpoint

from tests.unit.train.conftest import ROOT, World, small_recipe
from yulan import files
from yulan.cli import main
from yulan.errors import StateError
from yulan.model.shape import parameters
from yulan.train.checkpoint import write
from yulan.train.checkpoint.incoming import find, take_in
from yulan.train.checkpoint.outgoing import export
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.standing import standing
from yulan.train.checkpoint.state import read_tensors
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import CHECKPOINTS, JOB
from yulan.train.phase import train_phase

pytestmark = pytest.mark.slow
TARGETS = ("universal", "dcp", "hf-trainer")


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of four steps on two ranks, its job set to begin at the last one, with every export beside it."""
    folder = tmp_path_factory.mktemp("trained")
    train_phase(world.plan(4), folder)
    job = json.loads((folder / JOB).read_text())
    (folder / JOB).write_text(json.dumps(job | {"start": str(folder / CHECKPOINTS / "step-000004")}))
    for target in TARGETS:
        export(folder / CHECKPOINTS / "step-000004", folder / "exports" / target, target)
    return folder


@pytest.fixture(scope="module")
def walked(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Ten steps of each tool that is installed, beside ours."""
    options = ["--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=1"]
    script, told = str(Path(__file__).with_name("stock.py")), tmp_path_factory.mktemp("walked") / "told.json"
    command = [sys.executable, "-m", "torch.distributed.run", *options, script]
    where = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    own = {"PYTHONPATH": where, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [str(trained / JOB), str(trained / "exports"), str(told)]
    done = subprocess.run([*command, *words], env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(told.read_text())
    return found


@pytest.mark.parametrize("target", ["universal", "dcp"])
def test_ten_further_steps_of_deepspeed_and_of_plain_torch_are_ours_bit_for_bit(walked: dict[str, dict[str, Any]], target: str):
    assert walked[target]["theirs"] == walked[target]["ours"]
    assert walked[target]["apart"] == 0.0


@pytest.mark.skipif(find_spec("accelerate") is None, reason="the Hugging Face Trainer needs accelerate")
def test_ten_further_steps_of_the_hugging_face_trainer_agree_with_ours(walked: dict[str, dict[str, Any]]):
    # Its loss is taken of whole logits, which rounds otherwise: the seventh digit of a loss, 4e-4 of the way.
    assert walked["hf-trainer"]["theirs"] == pytest.approx(walked["hf-trainer"]["ours"], rel=1e-5)
    assert walked["hf-trainer"]["apart"] < 0.005


def test_what_is_exported_can_be_read_without_running_anything(trained: Path):
    paths = [*(trained / "exports").rglob("*.pt")]
    assert len(paths) > 100
    for path in paths:
        assert not get_unsafe_globals_in_checkpoint(path), path
        torch.load(path, weights_only=True)


def test_a_universal_export_comes_back_bit_for_bit(world: World, trained: Path, tmp_path: Path):
    found = find(trained / "exports" / "universal")
    assert (found.global_step, found.adam_step) == (4, 4)
    state = standing(world.recipe, "phase-01", 4, 4, at_end=False)
    take_in(found, state, world.recipe.model, tmp_path / "back")
    assert read_tensors(tmp_path / "back") == read_tensors(trained / CHECKPOINTS / "step-000004")


def test_weights_of_several_files_are_indexed_as_transformers_wants_them(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = read_checkpoint(trained / CHECKPOINTS / "step-000004")
    monkeypatch.setattr(write, "SHARD", 20_000)
    parts = parameters(whole.model)
    write_checkpoint(tmp_path / "cut", whole.state, parts, lambda name, kind: (0, whole.tensor(name, kind).reshape(-1)))
    export(tmp_path / "cut", tmp_path / "out", "hf-trainer")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    for name, file in index["weight_map"].items():
        assert torch.equal(load_file(tmp_path / "out" / file)[name], whole.tensor(name))


def test_pickles_never_go_among_the_results_of_a_clone(trained: Path, tmp_path: Path):
    files.write_text(tmp_path / "dvc.yaml", "stages: {}\n")
    files.make_folder(tmp_path / "artifacts" / "nano")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "artifacts" / "nano")
    for into in (tmp_path / "artifacts" / "out", tmp_path / "elsewhere" / "out", tmp_path / "x" / ".." / "artifacts" / "out"):
        with pytest.raises(StateError, match="pickles do not go below"):
            export(trained / CHECKPOINTS / "step-000004", into, "dcp")
    assert not list((tmp_path / "artifacts").rglob("*.*"))


def test_what_holds_no_optimizer_or_would_be_written_over_is_refused(world: World, trained: Path, tmp_path: Path):
    with pytest.raises(StateError, match="holds no optimizer states to hand on"):
        export(world.parent, tmp_path / "out", "universal")
    assert not list(tmp_path.iterdir())
    with pytest.raises(StateError, match="something lies there already"):
        export(trained / CHECKPOINTS / "step-000004", tmp_path, "universal")


def test_the_command_says_how_much_it_wrote(trained: Path, tmp_path: Path):
    words = ["checkpoint", "export", str(trained / CHECKPOINTS / "step-000004"), "--to", "dcp", "--into", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0
    assert done.stdout.endswith(" bytes\n")


@pytest.mark.large
def test_carrying_a_checkpoint_takes_a_buffer_of_memory_and_not_the_model(tmp_path: Path):
    recipe = small_recipe()
    wide = {"vocab_size": 2000, "hidden_size": 512, "layers": 4, "heads": 8, "kv_heads": 8, "head_dim": 64, "ffn_size": 2048}
    model = replace(recipe.model, **wide)
    state = standing(replace(recipe, model=model), "phase-01", 4, 4, at_end=False)
    sizes = {p.name: p.size for p in parameters(model)}
    folder = tmp_path / "step"
    write_checkpoint(folder, state, parameters(model), lambda name, _: (0, torch.full((sizes[name],), 0.5)))
    script, own = str(Path(__file__).with_name("carry.py")), {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, script, str(folder), str(tmp_path)]
    done = subprocess.run(words, env=os.environ | own, capture_output=True, text=True, check=True)
    told, whole = json.loads(done.stdout), sum(path.stat().st_size for path in folder.iterdir())
    assert whole > 200_000_000
    # Most of it is libraries that the first use imports (dcp); the largest tensor has 4 MB.
    assert max(told.values()) < 64_000_000, told

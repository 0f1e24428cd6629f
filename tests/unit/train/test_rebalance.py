"""A re-balanced checkpoint lies beside its parent and follows from it, tensor by tensor."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from tests.unit.train.test_checkpoint import PARAMETERS, RECIPE, numbers
from yulan import manifest
from yulan.cli import main
from yulan.errors import IntegrityError, StateError
from yulan.layout import MANIFEST
from yulan.model.shape import alpha_start
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.rebalance import FACTORS, rebalance_checkpoint, require_rebalanced
from yulan.train.checkpoint.scan import require_whole
from yulan.train.checkpoint.shrink import shrink
from yulan.train.checkpoint.state import read_state
from yulan.train.checkpoint.write import write_checkpoint


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A checkpoint whose alphas have left their start by factors of 1.5 to 6."""
    made = {key: tensor.square() if key[1] == "exp_avg_sq" else tensor for key, tensor in numbers(4).items()}
    for number, p in enumerate(each for each in PARAMETERS if each.kind == "alpha"):
        made[p.name, "weights"] = torch.full(p.shape, alpha_start(RECIPE.model, p.name) * (1.5 + number % 4 * 1.5))
    state = replace(read_state(write_initial(tmp_path / "init", RECIPE)), keys=RECIPE.keys("seed", "model"), global_step=4)
    write_checkpoint(tmp_path / "parent", state, PARAMETERS, lambda name, kind: (0, made[name, kind].reshape(-1)))
    return tmp_path / "parent"


def test_both_sides_are_there_and_the_relation_holds(parent: Path, tmp_path: Path):
    made = rebalance_checkpoint(parent, tmp_path / "made")
    require_whole(parent)
    require_whole(tmp_path / "made")
    require_rebalanced(parent, tmp_path / "made")
    assert read_state(tmp_path / "made") == read_state(parent)
    assert manifest.read(tmp_path / "made" / MANIFEST).summary[FACTORS] == {name: c for name, c in made.items() if c != 1}
    one, other = read_checkpoint(parent), read_checkpoint(tmp_path / "made")
    at = "model.layers.0.self_attn.q_proj"
    c = made[f"{at}_alpha"]
    assert c != 1
    for name, power in ((f"{at}.weight", c), (f"{at}.bias", c), (f"{at}_alpha", 1 / c)):
        assert torch.equal(other.tensor(name), one.tensor(name) / power)
        assert torch.equal(other.tensor(name, "exp_avg"), one.tensor(name, "exp_avg") * power)
        assert torch.equal(other.tensor(name, "exp_avg_sq"), one.tensor(name, "exp_avg_sq") * power * power)


def test_the_command_writes_and_checks(parent: Path, tmp_path: Path):
    words = ["checkpoint", "rebalance", str(parent), "--into", str(tmp_path / "made")]
    assert "every tensor follows" in CliRunner().invoke(main, words).output
    assert CliRunner().invoke(main, [*words, "--check"]).exit_code == 0


def resealed(folder: Path, **summary: object) -> None:
    told = manifest.read(folder / MANIFEST)
    files = manifest.survey(folder, but=frozenset({MANIFEST}))
    manifest.write(folder / MANIFEST, replace(told, files=files, summary=dict(told.summary) | summary))


def test_a_tensor_or_factor_that_does_not_follow_is_named(parent: Path, tmp_path: Path):
    made = tmp_path / "made"
    rebalance_checkpoint(parent, made)
    path = made / "exp_avg_sq-00001-of-00001.safetensors"
    found = load_file(path)
    name = "model.layers.0.mlp.up_proj.weight"
    save_file(found | {name: found[name] * 2}, path, metadata={"format": "pt"})
    resealed(made)
    with pytest.raises(IntegrityError, match=r"1 tensors or values do not follow from the parent's") as refused:
        require_rebalanced(parent, made)
    assert refused.value.evidence == (f"exp_avg_sq of {name}",)
    resealed(made, **{FACTORS: {}})
    with pytest.raises(IntegrityError, match="do not follow from the parent's"):
        require_rebalanced(parent, made)


def test_another_parent_is_refused(parent: Path, tmp_path: Path):
    rebalance_checkpoint(parent, tmp_path / "made")
    told = json.loads((parent / MANIFEST).read_text())
    (parent / MANIFEST).write_text(json.dumps(told | {"name": "other/phase"}))
    with pytest.raises(IntegrityError, match="is no re-balancing of that checkpoint"):
        require_rebalanced(parent, tmp_path / "made")


def test_moments_of_fewer_bits_are_refused(parent: Path, tmp_path: Path):
    shrink(parent, tmp_path / "small", "bf16")
    with pytest.raises(StateError, match="only a checkpoint with fp32 moments"):
        rebalance_checkpoint(tmp_path / "small", tmp_path / "made")

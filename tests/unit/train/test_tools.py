"""`yulan checkpoint list|verify|diff|shrink`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from tests.unit.train.test_checkpoint import PARAMETERS, RECIPE, numbers
from yulan import files, manifest
from yulan.cli import main
from yulan.errors import IntegrityError, StateError
from yulan.layout import MANIFEST
from yulan.model.shape import count
from yulan.train.checkpoint import stream
from yulan.train.checkpoint.codec import BLOCK, SMALLEST, Encoder, decode
from yulan.train.checkpoint.compare import Pair, diff
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.scan import require_whole, step_name
from yulan.train.checkpoint.shrink import shrink
from yulan.train.checkpoint.state import State, read_state, read_tensors
from yulan.train.checkpoint.table import kept_in, require_all_whole
from yulan.train.checkpoint.write import write_checkpoint


@pytest.fixture
def state(tmp_path: Path) -> State:
    return replace(read_state(write_initial(tmp_path / "init", RECIPE)), keys=RECIPE.keys("seed", "model"))


def save(at: Path, state: State, made: dict[tuple[str, str], torch.Tensor], step: int = 4) -> Path:
    """A checkpoint of made-up numbers; second moments are not negative."""
    state = replace(state, global_step=step, tokens=100 * step, adam_step=step)
    write_checkpoint(at, state, PARAMETERS, lambda name, kind: (0, made[name, kind].view(-1)))
    return at


def moments(step: int) -> dict[tuple[str, str], torch.Tensor]:
    made = {key: tensor if key[1] != "exp_avg_sq" else tensor.square() for key, tensor in numbers(step).items()}
    made[PARAMETERS[0].name, "exp_avg"].view(-1)[:4] = 0.5
    return made


def say(*words: object) -> Result:
    return CliRunner().invoke(main, ["checkpoint", *map(str, words)])


def pairs(a: Path, b: Path) -> dict[tuple[str, str], Pair]:
    return {(pair.set, pair.name): pair for pair in diff(a, b)}


def test_a_list_names_every_checkpoint_with_its_step_tokens_bytes_and_health(tmp_path: Path, state: State):
    for step in (2, 4):
        save(tmp_path / "run" / "checkpoints" / step_name(step), state, numbers(step), step)
    files.make_folder(tmp_path / "run" / "checkpoints" / "step-000006.partial")
    (tmp_path / "run" / "checkpoints" / step_name(4) / "state.json").write_text("{}")
    rows = {row.folder: row for row in kept_in(tmp_path / "run")}
    whole, damaged, unfinished = (rows[f"checkpoints/{name}"] for name in (step_name(2), step_name(4), "step-000006.partial"))
    assert (whole.global_step, whole.tokens, whole.trajectory, whole.damage) == (2, 200, "EXACT", ())
    assert whole.size == sum(each.stat().st_size for each in (tmp_path / "run" / "checkpoints" / step_name(2)).iterdir())
    assert damaged.damage == ("changed  state.json",)
    assert (unfinished.global_step, unfinished.damage) == (None, ("missing  manifest.json",))
    told = json.loads(say("list", tmp_path / "run", "--json").stdout)
    assert [row["digest"] for row in told["checkpoints"] if row["global_step"] == 2] == [whole.digest]
    lines = say("list", tmp_path / "run").stdout.splitlines()
    assert any("step         2" in line and "200 tokens" in line and "whole" in line for line in lines)
    assert "  changed  state.json" in lines


def test_verify_names_each_damaged_file_and_says_so_by_its_exit_code(tmp_path: Path, state: State):
    folder = save(tmp_path / "run" / step_name(2), state, numbers(2), 2)
    done = say("verify", tmp_path / "run")
    assert (done.exit_code, done.stdout.split(": ")[1]) == (0, f"1 checkpoints, {kept_in(folder)[0].size:,} bytes, all whole\n")
    assert json.loads(say("verify", folder, "--json").stdout)["digests"] == {
        step_name(2): manifest.read(folder / MANIFEST).digest
    }
    (folder / "tensors.json").unlink()
    with pytest.raises(IntegrityError, match="1 of 1 checkpoints are damaged") as raised:
        require_all_whole(kept_in(tmp_path / "run"), tmp_path / "run")
    assert raised.value.evidence == ("step-000002: missing  tensors.json",)
    assert say("verify", tmp_path / "run").exit_code == 5


def test_a_folder_without_checkpoints_is_named(tmp_path: Path):
    with pytest.raises(StateError, match="no checkpoint lies in or below it"):
        kept_in(tmp_path)
    with pytest.raises(StateError, match="holds no tensors"):
        diff(tmp_path, tmp_path)


def test_diff_tells_equal_cast_and_distance_apart(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yulan.train.checkpoint.compare.BUFFER", 100)
    one = {key: torch.where(tensor.isfinite(), tensor, 1.0) for key, tensor in numbers(4).items()}
    other = {key: tensor.clone() for key, tensor in one.items()}
    gate, up, table = (f"model.{x}.weight" for x in ("layers.0.mlp.gate_proj", "layers.0.mlp.up_proj", "embed_tokens"))
    other[gate, "weights"] = one[gate, "weights"].bfloat16().float()
    other[up, "weights"] = one[up, "weights"].half().float()
    other[table, "exp_avg"] = one[table, "exp_avg"] * 1.5
    other[table, "exp_avg_sq"].view(-1)[-1] = torch.nan
    a, b = save(tmp_path / "a", state, one), save(tmp_path / "b", state, other)
    found = pairs(a, b)
    assert (found["weights", gate].relation, found["weights", gate].dtype) == ("cast", "bfloat16")
    assert pairs(b, a)["weights", gate].relation == "cast", "whichever of both holds the rounded values"
    assert found["weights", up].dtype == "float16"
    far = found["exp_avg", table]
    assert (far.relation, far.relative) == ("distance", pytest.approx(0.5))
    assert far.max_abs == pytest.approx(float(one[table, "exp_avg"].abs().max()) / 2)
    assert (found["exp_avg_sq", table].relation, found["exp_avg_sq", table].max_abs) == ("distance", None)
    assert {pair.relation for key, pair in found.items() if key[1] not in (gate, up, table)} == {"equal"}
    assert len(found) == 3 * len(PARAMETERS)


def test_a_zero_of_the_other_sign_is_a_difference(tmp_path: Path, state: State):
    one = numbers(4)
    other = {key: tensor.clone() for key, tensor in one.items()}
    one["lm_head_alpha", "weights"], other["lm_head_alpha", "weights"] = torch.tensor(0.0), torch.tensor(-0.0)
    pair = pairs(save(tmp_path / "a", state, one), save(tmp_path / "b", state, other))["weights", "lm_head_alpha"]
    assert (pair.relation, pair.max_abs) == ("distance", 0.0)


def test_a_release_of_plain_safetensors_can_be_held_against_its_master(tmp_path: Path, state: State):
    folder = save(tmp_path / "a", state, numbers(4))
    weights = load_file(folder / "weights-00001-of-00001.safetensors")
    released = {name: tensor.bfloat16() for name, tensor in weights.items()}
    del released["lm_head_alpha"]
    released["model.norm.weight"] = torch.ones(3)
    files.make_folder(tmp_path / "release")
    save_file(released | {"more": torch.ones(2)}, tmp_path / "release" / "model.safetensors")
    found = pairs(folder, tmp_path / "release")
    assert found["weights", "model.embed_tokens.weight"].dtype == "bfloat16"
    assert found["weights", "model.norm.weight"].relation == "shape"
    assert found["weights", "lm_head_alpha"].relation == "only in A"
    assert found["exp_avg", "lm_head_alpha"].relation == "only in A"
    assert found["weights", "more"].relation == "only in B"


def test_diff_prints_what_differs_and_its_exit_code_says_whether_anything_does(tmp_path: Path, state: State):
    one, other = numbers(4), numbers(4)
    other["model.norm.weight", "weights"] = one["model.norm.weight", "weights"] + 1
    a, b = save(tmp_path / "a", state, one), save(tmp_path / "b", state, other)
    done = say("diff", a, b)
    assert done.exit_code == 1
    (line,) = done.stdout.splitlines()
    assert line.split()[:2] == ["weights", "distance"]
    assert line.endswith("model.norm.weight")
    assert say("diff", a, a).exit_code == 0
    assert len(json.loads(say("diff", a, b, "--json").stdout)["tensors"]) == 3 * len(PARAMETERS)


@pytest.mark.parametrize(("precision", "bytes_each"), [("bf16", 8), ("fp8", 6 + 8 / BLOCK)])
def test_shrunk_moments_read_back_close_in_the_stated_bytes(tmp_path: Path, state: State, precision: str, bytes_each: float):
    made = moments(4)
    folder = save(tmp_path / "a", state, made)
    done = say("shrink", folder, "--moments", precision, "--into", tmp_path / "b")
    assert done.exit_code == 0
    require_whole(tmp_path / "b")
    found = read_checkpoint(tmp_path / "b", PARAMETERS)
    assert found.state == replace(read_state(folder), trajectory="CLOSE")
    assert manifest.read(tmp_path / "b" / MANIFEST).inputs == {"checkpoint": manifest.read(folder / MANIFEST).digest}
    for (name, kind), tensor in made.items():
        read = found.tensor(name, kind)
        assert read.shape == tensor.shape
        assert torch.equal(read, tensor) or kind != "weights"
        error = float((read - tensor).norm() / tensor.norm())
        assert error < (0.004 if precision == "bf16" else 0.07), (name, kind)
    stored = sum(path.stat().st_size for path in (tmp_path / "b").glob("*.safetensors"))
    # Headers and the last block of each tensor take the rest.
    assert bytes_each * count(RECIPE.model) <= stored < (bytes_each + 2) * count(RECIPE.model)


def test_eight_bits_do_not_depend_on_the_buffer(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch):
    folder = save(tmp_path / "a", state, moments(4))
    shrink(folder, tmp_path / "b", "fp8")
    monkeypatch.setattr(stream, "BUFFER", 37)
    shrink(folder, tmp_path / "c", "fp8")
    assert read_tensors(tmp_path / "b") == read_tensors(tmp_path / "c")


def test_a_second_moment_that_is_not_zero_never_becomes_zero():
    values = torch.tensor([1.0, 1e-30, 0.0] + [1e-12] * 200)
    encoder = Encoder("exp_avg_sq", len(values), "fp8")
    codes = torch.frombuffer(bytearray(encoder.encode(memoryview(values.numpy()).cast("B"))), dtype=torch.float8_e4m3fn)
    read = decode("exp_avg_sq", codes, torch.cat(encoder.scales))
    assert read[2] == 0
    assert read[1] == pytest.approx((SMALLEST / 448) ** 2, rel=1e-3)
    assert torch.allclose(read[BLOCK:], values[BLOCK:], rtol=1e-3), "a block of its own has a scale of its own"


def test_what_cannot_be_shrunk_is_refused(tmp_path: Path, state: State):
    with pytest.raises(StateError, match="holds no moments that could be shrunk"):
        shrink(write_initial(tmp_path / "bare", RECIPE), tmp_path / "b", "bf16")
    folder = save(tmp_path / "a", state, moments(4))
    with pytest.raises(StateError, match="something lies there already"):
        shrink(folder, tmp_path / "bare", "bf16")


def resealed(folder: Path, name: str, value: torch.Tensor, file: str = "exp_avg-00001-of-00001.safetensors") -> Path:
    """One tensor changed under a manifest that says so: forged, not damaged."""
    found = load_file(folder / file) | {name: value}
    save_file(found, folder / file, metadata={"format": "pt"})
    told = manifest.read(folder / MANIFEST)
    manifest.write(folder / MANIFEST, replace(told, files=manifest.survey(folder, but=frozenset({MANIFEST}))))
    require_whole(folder)
    return folder


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, state: State):
    made = moments(4)
    for at, value in (("a", torch.ones(32, dtype=torch.float64)), ("b", torch.ones(31)), ("c", torch.ones(32).bfloat16())):
        folder = resealed(save(tmp_path / at, state, made), "model.norm.weight", value)
        with pytest.raises(IntegrityError, match=r"which tensors.json does not say"):
            read_checkpoint(folder).tensor("model.norm.weight", "exp_avg")
    shrink(save(tmp_path / "d", state, made), tmp_path / "e", "fp8")
    table = json.loads((tmp_path / "e" / "tensors.json").read_text())
    table["tensors"] = [row for row in table["tensors"] if row["set"] != "exp_avg_scale"]
    (tmp_path / "e" / "tensors.json").write_text(json.dumps(table))
    with pytest.raises(IntegrityError, match=r"exp_avg_scale of model\.norm\.weight is not there"):
        read_checkpoint(tmp_path / "e").tensor("model.norm.weight", "exp_avg")


def test_a_state_that_tells_no_model_cannot_be_copied(tmp_path: Path, state: State):
    folder = save(tmp_path / "a", replace(state, keys={"seed": 1}), moments(4))
    with pytest.raises(IntegrityError, match="tells no model in its keys"):
        shrink(folder, tmp_path / "b", "bf16")

"""A checkpoint that is held to its manifest while it is read."""

from pathlib import Path

import pytest
import torch

from tests.unit.train.test_checkpoint import PARAMETERS, RECIPE, numbers, save
from yulan.errors import IntegrityError
from yulan.layout import MANIFEST
from yulan.train.checkpoint import stream
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.read import read_whole
from yulan.train.checkpoint.state import State, read_state


@pytest.fixture
def state(tmp_path: Path) -> State:
    return read_state(write_initial(tmp_path / "init", RECIPE))


def test_a_whole_read_gives_the_same_tensors(tmp_path: Path, state: State):
    found = read_whole(save(tmp_path, 4, state), PARAMETERS)
    for (name, kind), tensor in numbers(4).items():
        assert torch.equal(found.tensor(name, kind).view(torch.int32), tensor.view(torch.int32)), (name, kind)
    assert found.proof is not None
    found.proof.require_all()


@pytest.mark.parametrize("kind", stream.KINDS)
def test_a_whole_read_gives_out_no_tensor_of_a_damaged_file(tmp_path: Path, state: State, kind: str):
    at = save(tmp_path, 4, state)
    file = at / f"{kind}-00001-of-00001.safetensors"
    # The last byte belongs to the last tensor; no tensor of the file may come before the whole sum.
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    found = read_whole(at, PARAMETERS)
    for name in (PARAMETERS[0].name, PARAMETERS[-1].name):
        with pytest.raises(IntegrityError, match="is not a whole checkpoint") as raised:
            found.tensor(name, kind)
        assert raised.value.evidence == (f"changed  {file.name}",)
    other = next(each for each in stream.KINDS if each != kind)
    assert found.tensor(PARAMETERS[0].name, other).shape == PARAMETERS[0].shape
    assert found.proof is not None
    with pytest.raises(IntegrityError, match="is not a whole checkpoint"):
        found.proof.require_all()


@pytest.mark.parametrize(
    ("name", "there", "instead"),
    [("state.json", '"global_step": 4', '"global_step": 5'), ("tensors.json", "F32", "F31"), (MANIFEST, "checkpoint", "release")],
)
def test_a_whole_read_refuses_a_damaged_table_at_once(tmp_path: Path, state: State, name: str, there: str, instead: str):
    at = save(tmp_path, 4, state)
    text = (at / name).read_text()
    assert there in text
    (at / name).write_text(text.replace(there, instead, 1))
    with pytest.raises(IntegrityError, match="is not a whole checkpoint") as raised:
        read_whole(at, PARAMETERS)
    assert raised.value.evidence == (f"changed  {name}",)


def test_a_whole_read_refuses_a_cut_an_extra_and_a_missing_file(tmp_path: Path, state: State):
    at = save(tmp_path, 4, state)
    cut = at / "exp_avg-00001-of-00001.safetensors"
    cut.write_bytes(cut.read_bytes()[:-4])
    (at / "more.txt").write_text("?")
    (at / "exp_avg_sq-00001-of-00001.safetensors").unlink()
    with pytest.raises(IntegrityError, match="is not a whole checkpoint") as raised:
        read_whole(at, PARAMETERS)
    told = ("missing  exp_avg_sq-00001-of-00001.safetensors", "extra    more.txt", f"changed  {cut.name}")
    assert raised.value.evidence == told

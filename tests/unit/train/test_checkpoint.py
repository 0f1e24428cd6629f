"""The format itself, on one process."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.unit.train.conftest import small_recipe
from yulan import digest, files, manifest
from yulan.errors import DataError, IntegrityError, ResourceError
from yulan.layout import MANIFEST
from yulan.model.init import start_values
from yulan.model.shape import count, parameters
from yulan.train.checkpoint import stream, write
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.scan import differences, newest, require_whole, step_name, steps_in, sweep
from yulan.train.checkpoint.state import State, StateFile, read_state, read_tensors, state_files
from yulan.train.checkpoint.write import retain, write_checkpoint

RECIPE = small_recipe()
PARAMETERS = parameters(RECIPE.model)


def numbers(step: int) -> dict[tuple[str, str], torch.Tensor]:
    """Tensors of a made-up step, one of them with every awkward bit."""
    draw = torch.Generator().manual_seed(step)
    made = {(p.name, kind): torch.randn(p.shape, generator=draw) for kind in stream.KINDS for p in PARAMETERS}
    first = made[PARAMETERS[0].name, "exp_avg"].view(-1)
    first[:4] = torch.tensor([-0.0, 1e-45, float("inf"), -float("inf")])
    return made


def save(folder: Path, step: int, state: State) -> Path:
    made = numbers(step)
    at = folder / step_name(step)
    state = replace(state, global_step=step, phase_step=step)
    write_checkpoint(at, state, PARAMETERS, lambda name, kind: (0, made[name, kind].view(-1)))
    return at


@pytest.fixture
def state(tmp_path: Path) -> State:
    return read_state(write_initial(tmp_path / "init", RECIPE))


def test_what_is_read_is_bit_for_bit_what_was_written(tmp_path: Path, state: State):
    found = read_checkpoint(save(tmp_path, 4, state), PARAMETERS)
    assert found.state == replace(state, global_step=4, phase_step=4)
    for (name, kind), tensor in numbers(4).items():
        assert torch.equal(found.tensor(name, kind).view(torch.int32), tensor.view(torch.int32)), (name, kind)


def test_the_stock_reader_opens_the_files_and_finds_the_published_names(tmp_path: Path, state: State):
    stock = load_file(save(tmp_path, 4, state) / "weights-00001-of-00001.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in stock.items()} == {p.name: p.shape for p in PARAMETERS}


def test_no_buffer_size_changes_a_byte(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch):
    whole = save(tmp_path / "a", 4, state)
    monkeypatch.setattr(stream, "BUFFER", 37)
    small = save(tmp_path / "b", 4, state)
    assert manifest.read(whole / MANIFEST) == manifest.read(small / MANIFEST)


def test_what_threads_hash_has_the_sums_of_what_lies_on_the_disk(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch):
    alone = save(tmp_path / "a", 4, state)
    monkeypatch.setattr(write, "SMALL", 1)
    threaded = save(tmp_path / "b", 4, state)
    assert manifest.read(alone / MANIFEST) == manifest.read(threaded / MANIFEST)
    assert not differences(threaded)
    for row in read_tensors(threaded).tensors:
        there = load_file(threaded / row.file)[row.name].numpy()
        assert digest.of_bytes(there.tobytes()) == row.sha256


def test_pieces_of_several_ranks_make_the_same_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "BUFFER", 100)
    made = numbers(1)
    ranks = []
    for low, high in ((0.0, 0.3), (0.3, 0.3), (0.3, 1.0)):

        def piece(name: str, kind: str, low: float = low, high: float = high) -> tuple[int, torch.Tensor] | None:
            flat = made[name, kind].view(-1)
            begin, end = round(low * len(flat)), round(high * len(flat))
            return (begin, flat[begin:end]) if begin < end else None

        ranks.append(b"".join(bytes(data) for _, data in stream.tensor_bytes(PARAMETERS, piece, "exp_avg")))
    summed = sum(np.frombuffer(each, "<u4").astype(np.uint64) for each in ranks)
    assert summed.astype("<u4").tobytes() == b"".join(made[p.name, "exp_avg"].numpy().tobytes() for p in PARAMETERS)


def test_large_sets_are_cut_into_files_of_bounded_size(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(write, "SHARD", 20_000)
    folder = save(tmp_path, 4, state)
    sizes = [path.stat().st_size for path in folder.glob("weights-*.safetensors")]
    assert len(sizes) > 2
    assert max(sizes) < 4 * 300 * 32 + 20_000
    assert read_checkpoint(folder, PARAMETERS).tensor("model.norm.weight", "exp_avg_sq").shape == (32,)


def test_the_first_checkpoint_holds_the_start_values_and_no_moments(tmp_path: Path):
    found = read_checkpoint(write_initial(tmp_path, RECIPE), PARAMETERS)
    assert not found.has_moments
    assert all(torch.equal(found.tensor(name), value) for name, value in start_values(RECIPE.model, RECIPE.seed))


def test_the_format_is_frozen(tmp_path: Path):
    folder = write_initial(tmp_path, RECIPE)
    head = (folder / "weights-00001-of-00001.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", head[:8])
    table = json.loads(head[8 : 8 + length])
    assert length % 8 == 0
    assert table["__metadata__"] == {"format": "pt"}
    assert table["model.embed_tokens.weight"] == {"dtype": "F32", "shape": [300, 32], "data_offsets": [0, 38400]}
    assert len(head) == 8 + length + 4 * count(RECIPE.model)
    rows = json.loads((folder / "tensors.json").read_text())["tensors"]
    first = dict(start_values(RECIPE.model, RECIPE.seed))["model.embed_tokens.weight"]
    assert rows[0] == {
        "name": "model.embed_tokens.weight",
        "set": "weights",
        "file": "weights-00001-of-00001.safetensors",
        "dtype": "F32",
        "shape": [300, 32],
        "sha256": digest.of_bytes(first.numpy().tobytes()),
    }
    assert sorted(json.loads((folder / "state.json").read_text())) == sorted(StateFile.__dataclass_fields__)


def test_a_checkpoint_can_be_moved(tmp_path: Path, state: State):
    folder = save(tmp_path, 4, state)
    moved = folder.rename(tmp_path / "elsewhere")
    require_whole(moved)


@pytest.mark.parametrize(
    ("harm", "row"),
    [
        (lambda f: (f / "state.json").unlink(), "missing  state.json"),
        (lambda f: (f / "exp_avg-00001-of-00001.safetensors").write_bytes(b""), "changed  exp_avg-00001-of-00001.safetensors"),
        (lambda f: (f / "extra.bin").write_bytes(b"x"), "extra    extra.bin"),
        (lambda f: (f / MANIFEST).write_text("{}"), "missing key 'format'"),
        (lambda f: (f / MANIFEST).write_bytes(b""), "not JSON"),
    ],
)
def test_each_harm_is_named(tmp_path: Path, state: State, harm: object, row: str):
    folder = save(tmp_path, 4, state)
    harm(folder)
    assert row in differences(folder)[0]
    with pytest.raises(IntegrityError, match="is not a whole checkpoint"):
        require_whole(folder)


def test_the_newest_whole_checkpoint_is_found_by_looking(tmp_path: Path, state: State):
    for step in (2, 4, 6):
        save(tmp_path, step, state)
    files.make_folder(tmp_path / "step-000008.partial")
    (tmp_path / step_name(6) / "tensors.json").write_bytes(b"{}")
    assert newest(tmp_path) == (tmp_path / step_name(4), ["step-000006: changed  tensors.json"])
    assert newest(tmp_path / "nowhere") == (None, [])


def test_a_checkpoint_whose_manifest_is_gone_is_damaged_and_never_as_good_as_none(tmp_path: Path, state: State):
    for step in (2, 4):
        save(tmp_path, step, state)
    (tmp_path / step_name(4) / MANIFEST).unlink()
    assert newest(tmp_path) == (tmp_path / step_name(2), ["step-000004: missing  manifest.json"])
    (tmp_path / step_name(2) / MANIFEST).unlink()
    with pytest.raises(IntegrityError, match="no checkpoint is whole"):
        newest(tmp_path)


@pytest.mark.parametrize(("old", "new"), [('"tokens": 0', '"tokens": 1'), ("EXACT", "CLOSE")])
def test_a_manifest_that_contradicts_the_state_is_named(tmp_path: Path, state: State, old: str, new: str):
    folder = save(tmp_path, 2, state)
    assert differences(folder) == []
    files.write_text(folder / MANIFEST, (folder / MANIFEST).read_text().replace(old, new))
    assert differences(folder) == ["changed  manifest.json"]


def test_what_a_killed_save_and_a_killed_removal_left_is_swept_and_nothing_else(tmp_path: Path, state: State):
    for step in (2, 4, 6):
        save(tmp_path, step, state)
    files.make_folder(tmp_path / "step-000008.partial")
    files.remove(tmp_path / step_name(2) / MANIFEST)
    files.make_folder(tmp_path / step_name(8))
    (tmp_path / step_name(4) / "state.json").write_bytes(b"{}")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["init", *map(step_name, (4, 6, 8))]


def test_a_checkpoint_loses_its_manifest_before_anything_else(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch):
    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    save(tmp_path, 2, state)
    save(tmp_path, 4, state)
    monkeypatch.setattr(files.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        retain(tmp_path, 4, keep=1, every=2, begin=0)
    assert steps_in(tmp_path) == [4]


def test_the_schedules_newest_stay_and_the_last_whole_one_is_never_removed(tmp_path: Path, state: State):
    for step in (2, 3, 4, 6, 7):
        save(tmp_path, step, state)
    retain(tmp_path, 7, keep=2, every=2, begin=0)
    assert steps_in(tmp_path) == [6, 7]
    save(tmp_path, 8, state)
    retain(tmp_path, 8, keep=2, every=2, begin=0)
    assert steps_in(tmp_path) == [6, 8]
    save(tmp_path, 10, state)
    (tmp_path / step_name(10) / "state.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="was not written as it should be"):
        retain(tmp_path, 10, keep=1, every=2, begin=0)
    assert steps_in(tmp_path) == [6, 8, 10]


def test_a_model_of_another_shape_is_refused_by_name(tmp_path: Path, state: State):
    other = parameters(replace(RECIPE.model, ffn_size=64))
    with pytest.raises(IntegrityError, match="not those of this model") as raised:
        read_checkpoint(save(tmp_path, 2, state), other)
    assert "model.layers.0.mlp.down_proj.weight [32, 48]" in raised.value.evidence


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path, state: State):
    folder = save(tmp_path, 2, state)
    (folder / "weights-00001-of-00001.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(IntegrityError, match="cannot be read"):
        read_checkpoint(folder).tensor("model.norm.weight")


def test_a_state_that_breaks_its_schema_is_refused(state: State):
    with pytest.raises(DataError, match="phase_step"):
        state_files(replace(state, phase_step=-1))


def test_no_space_leaves_what_was_there(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch):
    save(tmp_path, 2, state)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(ResourceError, match="bytes are needed and 10 are free"):
        save(tmp_path, 4, state)
    assert newest(tmp_path)[0] == tmp_path / step_name(2)


def test_nothing_in_a_checkpoint_is_a_pickle(tmp_path: Path, state: State):
    assert {path.suffix for path in save(tmp_path, 2, state).iterdir()} == {".json", ".safetensors"}

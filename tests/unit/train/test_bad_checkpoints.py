"""A checkpoint whose lists were made to fit bad tensors: the reader itself refuses them, in one line, and runs nothing."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.train.test_checkpoint import RECIPE, save
from yulan.errors import YulanError
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.state import State, read_state

FILE, NAME = "weights-00001-of-00001.safetensors", "model.norm.weight"
Table = dict[str, Any]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return read_state(write_initial(tmp_path / "init", RECIPE))


def rewrite(path: Path, change: Callable[[Table], object]) -> None:
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    table = json.loads(raw[8 : 8 + length])
    change(table)
    text = json.dumps(table)
    path.write_bytes(struct.pack("<Q", len(text.encode())) + text.encode() + raw[8 + length :])


def shift(table: Table, by: int) -> None:
    table[NAME]["data_offsets"] = [each + by for each in table[NAME]["data_offsets"]]


BAD: dict[str, Callable[[Path], object]] = {
    "a header of 2^63 bytes": lambda path: path.write_bytes(b"\xff" * 7 + b"\x7f" + path.read_bytes()[8:]),
    "a header longer than the file": lambda path: path.write_bytes(struct.pack("<Q", 1 << 40) + path.read_bytes()[8:]),
    "offsets that overlap": lambda path: rewrite(path, lambda table: shift(table, -4)),
    "offsets past the end": lambda path: rewrite(path, lambda table: shift(table, 1 << 40)),
    "negative offsets": lambda path: rewrite(path, lambda table: table[NAME].update(data_offsets=[-8, -4])),
    "another type": lambda path: rewrite(path, lambda table: table[NAME].update(dtype="I32")),
    "no type": lambda path: rewrite(path, lambda table: table[NAME].update(dtype="F31")),
    "another shape": lambda path: rewrite(path, lambda table: table[NAME].update(shape=[2, table[NAME]["shape"][0] // 2])),
    "a shape too large": lambda path: rewrite(path, lambda table: table[NAME].update(shape=[1 << 62, 1 << 62])),
    "a name that is gone": lambda path: rewrite(path, lambda table: table.update({"other": table.pop(NAME)})),
    "a list": lambda path: path.write_bytes(struct.pack("<Q", 2) + b"[]"),
    "depth": lambda path: path.write_bytes(struct.pack("<Q", 100_000) + b"[" * 100_000),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04\x95\x1a\0\0\0\0\0\0\0\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R."),
}


@pytest.mark.parametrize("kind", BAD)
def test_tensors_that_are_not_what_the_table_says_are_refused(tmp_path: Path, state: State, kind: str):
    folder = save(tmp_path, 2, state)
    BAD[kind](folder / FILE)
    with pytest.raises(YulanError, match=r"cannot be read|which tensors\.json does not say") as told:
        read_checkpoint(folder).tensor(NAME)
    assert told.value.exit_code == 5
    assert len(str(told.value).splitlines()[0]) < 1000


@pytest.mark.parametrize(
    "file", ["../weights-00001-of-00001.safetensors", "/etc/passwd", "weights.pt", "weights-00001-of-00001.safetensors\n"]
)
def test_a_table_leads_to_no_other_file(tmp_path: Path, state: State, file: str):
    folder = save(tmp_path, 2, state)
    table = json.loads((folder / "tensors.json").read_text())
    table["tensors"][0]["file"] = file
    (folder / "tensors.json").write_text(json.dumps(table))
    with pytest.raises(YulanError, match=r"\$\.tensors\[0\]\.file: .* does not match"):
        read_checkpoint(folder)

"""Damaged mixes, shards and packs: read all the same, or refused in one line that says what, where and the cure."""

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.data.conftest import put, sentences
from yulan import files
from yulan.data.batch import assemble
from yulan.data.index.places import Windows, documents_of
from yulan.data.pack import Pack
from yulan.data.packing import index_phase
from yulan.data.shard import DOCUMENTS, Stream, document_starts, read_shards, write_shards
from yulan.data.tokenizer import Codec
from yulan.errors import DataError, IntegrityError, YulanError
from yulan.mix import Part, Portions, list_text, load_mix, mix_text, parse_list, read_list
from yulan.recipe import corpus

MANY = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
BYTES = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4)
MIX = """total: 100
sources:
  a: {weight: 60, repeats: 1}
  b/c: {weight: 40, repeats: 0}
intent: null
files: null
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, byte_codec: Codec) -> Path:
    """`shards/` and, of a phase of them, `mix/`."""
    folder = tmp_path_factory.mktemp("sound")
    for seed, name in enumerate(("a", "b/c")):
        put(folder / "text", name, sentences(seed, 40))
    write_shards(
        folder / "text", byte_codec, corpus.Shards(tokens=900, held_out=0, begin_with_bos=False), folder / "shards", wanted=()
    )
    pack(folder)
    return folder


def pack(folder: Path) -> None:
    shards = read_shards(folder / "shards")
    portions = Portions(total=2, sources={name: Part(weight=1, repeats=1) for name in ("a", "b/c")})
    index_phase(
        folder / "mix",
        packing="best-fit",
        portions=portions,
        windows=20,
        context=64,
        shards=shards,
        starts=lambda name: document_starts(folder / "shards", name),
        taken={},
    )


def read_everything(folder: Path) -> None:
    """All that a trainer, the index and the next stage read."""
    shards = read_shards(folder / "shards")
    for source in shards.sources.values():
        Stream(folder / "shards", source.train, shards.dtype).read(0, 50)
    made = Pack.open(folder / "mix", folder / "shards")
    assemble(made, np.arange(min(made.windows, 100)))
    windows = Windows.open(folder / "mix", shards)
    windows.places(
        np.arange(min(windows.header.windows, 100)),
        lambda source, *at: documents_of(folder / "shards" / source / "train" / DOCUMENTS, *at),
    )


def require_told(work: Callable[[], object]) -> None:
    try:
        work()
    except YulanError as error:
        said = error
    else:
        return
    assert said.what
    assert said.cure
    assert str(said).startswith("Error: ")


def damaged(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    made = bytearray(data)
    for place, value in changes:
        made[place % len(made)] = value
    return bytes(made)


def swapped(value: Any, draw: Callable[[Any], Any]) -> Any:
    """The value with one part of it changed, left out or added."""
    made = copy.deepcopy(value)
    inside = made
    while isinstance(inside, dict | list) and inside:
        key = draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
        if not (isinstance(inside[key], dict | list) and inside[key]) or draw(st.integers(0, 3)) == 0:
            turn = draw(st.sampled_from(["change", "leave out", "add"]))
            if turn == "leave out":
                del inside[key]
            elif turn == "add" and isinstance(inside, dict):
                inside[draw(st.text(max_size=6))] = draw(VALUES)
            else:
                inside[key] = draw(VALUES)
            return made
        inside = inside[key]
    return made


@MANY
@given(changes=BYTES)
@pytest.mark.parametrize(
    "name", ["shards/shards.json", "mix/pack.json", "mix/offsets.bin", "mix/pieces.bin", "shards/a/train/tokens-00000.bin"]
)
def test_changed_bytes_are_read_or_refused(place: Path, tmp_path: Path, name: str, changes: list[tuple[int, int]]):
    folder = mine(place, tmp_path)
    files.write_bytes(folder / name, damaged((place / name).read_bytes(), changes))
    require_told(lambda: read_everything(folder))
    files.write_bytes(folder / name, (place / name).read_bytes())


def mine(place: Path, tmp_path: Path) -> Path:
    if not (tmp_path / "mine").is_dir():
        shutil.copytree(place, tmp_path / "mine")
    return tmp_path / "mine"


@MANY
@given(data=st.data())
@pytest.mark.parametrize("name", ["shards/shards.json", "mix/pack.json"])
def test_json_that_says_something_else_is_read_or_refused(place: Path, tmp_path: Path, name: str, data: st.DataObject):
    folder = mine(place, tmp_path)
    changed = swapped(json.loads((place / name).read_text()), data.draw)
    files.write_text(folder / name, json.dumps(changed))
    require_told(lambda: read_everything(folder))
    require_told(lambda: pack(folder))
    for each in ("shards/shards.json", "mix/pack.json", "mix/offsets.bin", "mix/pieces.bin"):
        files.write_bytes(folder / each, (place / each).read_bytes())


@MANY
@given(text=st.text(max_size=60) | st.builds(lambda a, b: a + b, st.text(max_size=20), st.just(MIX)), changes=BYTES)
def test_a_mix_of_other_bytes_is_read_or_refused(tmp_path: Path, text: str, changes: list[tuple[int, int]]):
    path = tmp_path / "mix.yaml"
    for content in (text.encode(), damaged(MIX.encode(), changes)):
        path.write_bytes(content)
        require_told(lambda: sums(path))


def sums(path: Path) -> None:
    mix = load_mix(path)
    assert sum(mix.quotas(12_345).values()) == 12_345
    assert mix_text(mix)


@MANY
@given(data=st.data())
def test_a_mix_that_says_something_else_is_read_or_refused(tmp_path: Path, data: st.DataObject):
    import yaml

    path = tmp_path / "mix.yaml"
    path.write_text(yaml.safe_dump(swapped(yaml.safe_load(MIX), data.draw), allow_unicode=True))
    require_told(lambda: sums(path))


@MANY
@given(text=st.text(max_size=80) | st.text(alphabet="ab\t\n1\r٣", max_size=40))
def test_a_list_of_files_is_read_or_refused(text: str):
    def work() -> None:
        groups = list(parse_list(text, Path("list")))
        assert list(parse_list(list_text(groups), Path("list"))) == groups

    require_told(work)


@MANY
@given(changes=BYTES)
def test_a_packed_list_of_other_bytes_is_refused(tmp_path: Path, changes: list[tuple[int, int]]):
    import gzip

    from yulan import digest
    from yulan.mix import FileList

    text = "a\t5\n\t/x\n\t/y\n"
    (tmp_path / "files").mkdir(exist_ok=True)
    (tmp_path / "files/x.txt.gz").write_bytes(damaged(gzip.compress(text.encode(), mtime=0), changes))
    listed = FileList(path="files/x.txt.gz", count=2, sha256=digest.of_bytes(text.encode()))
    require_told(lambda: read_list(tmp_path, listed))


FUZZ = """
import random, resource, sys
from pathlib import Path
from yulan.data.index.places import documents_of
from yulan.data.shard import document_starts
from yulan.errors import YulanError

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
folder, draw = Path(sys.argv[1]), random.Random(7)
path = folder / "a/train/documents.parquet"
good = path.read_bytes()
footer = 8 + int.from_bytes(good[-8:-4], "little")
refused = 0
for _ in range(600):
    made = bytearray(good)
    for _ in range(draw.choice((1, 1, 2, 5))):
        low = len(made) - footer if draw.random() < 0.7 else 0
        at = draw.randrange(low, len(made))
        made[at] = draw.choice((made[at] ^ 1 << draw.randrange(8), draw.randrange(256), 0, 255))
    path.write_bytes(made)
    for work in (lambda: documents_of(path, 100, 900), lambda: document_starts(folder, "a")):
        try:
            work()
        except YulanError:
            refused += 1
print(refused)
"""


@pytest.mark.slow
def test_a_damaged_table_of_documents_ends_no_process(place: Path, tmp_path: Path):
    shutil.copytree(place / "shards", tmp_path / "shards")
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, tmp_path / "shards"], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 300


def test_an_id_outside_the_vocabulary_is_refused(place: Path, tmp_path: Path):
    folder = mine(place, tmp_path)
    path = folder / "shards/a/train/tokens-00000.bin"
    tokens = np.fromfile(path, "<u2")
    tokens[3] = 261
    files.write_bytes(path, tokens.tobytes())
    made = Pack.open(folder / "mix", folder / "shards")
    with pytest.raises(IntegrityError, match="a token id outside the vocabulary of 261"):
        made.rows(np.arange(20))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda made: made.update(eos_id=261), "its numbers contradict each other"),
        (lambda made: made["sources"]["a"]["train"].update(tokens=1), "its numbers contradict each other"),
    ],
)
def test_shards_that_contradict_themselves_are_refused(place: Path, tmp_path: Path, change, what: str):
    folder = mine(place, tmp_path)
    made = json.loads((folder / "shards/shards.json").read_text())
    change(made)
    files.write_text(folder / "shards/shards.json", json.dumps(made))
    with pytest.raises(IntegrityError, match=what):
        read_shards(folder / "shards")


def test_documents_of_other_tokens_are_refused(place: Path, tmp_path: Path):
    folder = mine(place, tmp_path)
    shutil.copy(place / "shards/b/c/train/documents.parquet", folder / "shards/a/train")
    starts = document_starts(folder / "shards", "a")
    made = json.loads((folder / "shards/shards.json").read_text())
    split = made["sources"]["a"]["train"]
    split["files"], split["tokens"] = [{"path": "a/train/tokens-00000.bin", "tokens": int(starts[-1])}], int(starts[-1])
    files.write_text(folder / "shards/shards.json", json.dumps(made))
    with pytest.raises(DataError, match="the documents of a are not those of its"):
        pack(folder)


def test_documents_with_a_hole_between_them_are_refused(place: Path, tmp_path: Path):
    import pyarrow.parquet as pq

    folder = mine(place, tmp_path)
    path = folder / "shards/a/train/documents.parquet"
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.slice(1), path)
    with pytest.raises(DataError, match="its documents do not follow each other"):
        document_starts(folder / "shards", "a")

"""Tables that do not fit each other are refused before anything is said of a document."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.index.kit import Clone
from yulan import files
from yulan.data.index.places import Table, Windows, documents_of
from yulan.data.pack import PIECE
from yulan.data.shard import COLUMNS, DOCUMENTS, read_shards
from yulan.errors import DataError, IntegrityError


@pytest.fixture
def mix(clone: Clone, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clone.layout.stage("mix", "phase-02").data, tmp_path / "mix"))


def look(clone: Clone, mix: Path) -> None:
    folder = clone.layout.stage("shards").data
    windows = Windows.open(mix, read_shards(folder))
    windows.places(
        np.arange(windows.header.windows), lambda source, *at: documents_of(folder / source / "train" / DOCUMENTS, *at)
    )


def piece(field: str, value: int):
    def damage(mix: Path) -> None:
        pieces = np.fromfile(mix / "pieces.bin", PIECE)
        pieces[field][1] = value
        files.write_bytes(mix / "pieces.bin", pieces.tobytes())

    return damage


def offset(mix: Path) -> None:
    offsets = np.fromfile(mix / "offsets.bin", "<u8")
    offsets[1] = offsets[2]
    files.write_bytes(mix / "offsets.bin", offsets.tobytes())


def another_shard(mix: Path) -> None:
    files.write_text(mix / "pack.json", (mix / "pack.json").read_text().replace("en/wiki/train", "en/other/train"))


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda mix: None, None),
        (offset, "its offsets do not rise from 0"),
        (piece("shard", 99), "a piece lies outside its shard"),
        (piece("start", 1 << 40), "a piece lies outside its shard"),
        (piece("start", (1 << 64) - 1), "a piece lies outside its shard"),
        (piece("length", 0), "a piece lies outside its shard"),
        (piece("length", 18), "a window is longer than its context"),
        (another_shard, r"en/other/train/tokens-\d+.bin is not in shards.json. Build the mix again"),
        (lambda mix: (mix / "pieces.bin").unlink(), "pieces.bin: 0 bytes, not"),
    ],
)
def test_a_damaged_pack_is_refused(clone: Clone, mix: Path, damage, what: str | None):
    damage(mix)
    if what is None:
        look(clone, mix)
        return
    with pytest.raises(IntegrityError, match=what):
        look(clone, mix)


def test_a_stretch_without_a_document_is_refused(clone: Clone, mix: Path):
    windows = Windows.open(mix, read_shards(clone.layout.stage("shards").data))
    none = Table(ids=pa.array([], pa.string()), starts=np.array([], np.int64), lengths=np.array([], np.int64))
    with pytest.raises(IntegrityError, match="no document of code/networkx lies there"):
        windows.places(np.arange(4), lambda *_: none)


def test_a_table_of_documents_that_is_none_is_refused(tmp_path: Path):
    files.write_text(tmp_path / "documents.parquet", "no table")
    pq.write_table(pa.table({"id": ["a"], "start": ["0"], "length": [1]}), tmp_path / "texts.parquet")
    with pytest.raises(DataError, match=r"not a table of documents \(TypeError\)"):
        documents_of(tmp_path / "texts.parquet", 0, 9)
    with pytest.raises(DataError, match=r"not a table of documents .*Build the shards again"):
        documents_of(tmp_path / "documents.parquet", 0, 9)


@pytest.mark.parametrize("group", [1, 3, 100])
def test_the_documents_of_a_stretch_are_found_however_the_table_is_cut(tmp_path: Path, group: int):
    lengths = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])
    starts = np.cumsum(lengths) - lengths
    columns = [[f"d{n}" for n in range(10)], starts, lengths]
    for name in ("a", "b"):
        table = pa.table(columns, schema=COLUMNS).append_column("source", pa.array([name] * 10, pa.string()))
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=group)
    both = pa.concat_tables(pq.read_table(tmp_path / f"{name}.parquet") for name in ("a", "b"))
    pq.write_table(both, tmp_path / "both.parquet", row_group_size=group)
    for low in range(39):
        for high in range(low + 1, 40):
            there = {f"d{n}" for n in range(10) if starts[n] < high and starts[n] + lengths[n] > low}
            for path, source in (("a.parquet", None), ("both.parquet", "b")):
                found = documents_of(tmp_path / path, low, high, source)
                assert there <= set(found.ids.to_pylist())
                assert found.starts.tolist() == [starts[int(each[1:])] for each in found.ids.to_pylist()]
                if group == 1:
                    assert set(found.ids.to_pylist()) == there

"""Laws of token shards."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.conftest import Maker, put, sentences
from yulan import digest, files, manifest
from yulan.data import documents, shard
from yulan.data.shard import Stream
from yulan.data.tokenizer import Codec
from yulan.errors import DataError, IntegrityError
from yulan.layout import Layout
from yulan.recipe import corpus

SETTINGS = corpus.Shards(tokens=100, held_out=0, begin_with_bos=False)


def test_the_stream_is_the_documents_in_id_order_each_with_its_end(make_shards: Maker, byte_codec: Codec):
    texts = sentences(3, 40)
    folder, made = make_shards({"en/a": texts}, capacity=100)
    ids, _ = byte_codec.encode(sorted(texts, key=digest.of_text))
    split = made.sources["en/a"].train
    assert Stream(folder, split, made.dtype).read(0, split.tokens).tolist() == ids.tolist()
    assert (split.documents, split.tokens, split.bytes) == (40, len(ids), sum(len(text.encode()) for text in texts))
    assert (ids == made.eos_id).sum() == 40


def test_a_new_file_begins_at_the_limit_and_none_is_empty(make_shards: Maker):
    folder, made = make_shards({"a": ["x" * 99, "y" * 99]}, capacity=50)
    assert [(file.path, file.tokens) for file in made.sources["a"].train.files] == [
        (f"a/train/tokens-0000{n}.bin", 50) for n in range(4)
    ]
    assert (folder / "a/train/tokens-00003.bin").stat().st_size == 100


def test_any_part_of_a_stream_can_be_read(make_shards: Maker):
    folder, made = make_shards({"a": sentences(4, 20)}, capacity=64)
    split = made.sources["a"].train
    stream = Stream(folder, split, made.dtype)
    whole = stream.read(0, len(stream))
    for start, length in [(0, 1), (60, 10), (63, 129), (len(whole) - 3, 10), (len(whole), 5)]:
        assert stream.read(start, length).tolist() == whole[start : start + length].tolist()


def test_the_id_alone_decides_who_is_held_out(make_shards: Maker):
    texts = [f"document {n}" for n in range(500)]
    folder, made = make_shards({"a": texts}, held_out=100)
    split = made.sources["a"]
    held = pq.read_table(folder / "a/held/documents.parquet")["id"].to_pylist()
    assert held == sorted(i for i in map(digest.of_text, texts) if int(i[:8], 16) % 1000 < 100)
    assert split.train.documents + split.held.documents == 500
    assert split.held.documents == len(held) > 20


def test_the_table_says_where_each_document_lies(make_shards: Maker, byte_codec: Codec):
    texts = sentences(5, 30)
    folder, made = make_shards({"a": texts}, capacity=77)
    stream = Stream(folder, made.sources["a"].train, made.dtype)
    for row in pq.read_table(folder / "a/train/documents.parquet").to_pylist():
        assert digest.of_text(byte_codec.decode(stream.read(row["start"], row["length"]))) == row["id"]
    assert shard.document_starts(folder, "a").tolist() == np.flatnonzero(np.roll(stream.read(0, len(stream)) == 2, 1)).tolist()


def test_golden_bytes_of_shards(make_shards: Maker):
    folder, _ = make_shards({"a": ["hi", "yo"]}, capacity=4)
    assert (folder / "a/train/tokens-00000.bin").read_bytes().hex() == "4c004d0002005d00"  # h i </s> y
    assert (folder / "a/train/tokens-00001.bin").read_bytes().hex() == "53000200"  # o </s>
    table = pq.ParquetFile(folder / "a/train/documents.parquet")
    assert table.schema_arrow.remove_metadata() == shard.COLUMNS
    assert table.read().to_pylist() == [
        {"id": digest.of_text("hi"), "start": 0, "length": 3},
        {"id": digest.of_text("yo"), "start": 3, "length": 3},
    ]
    assert digest.of_file(folder / "shards.json") == "c8814e523307f1b1f7c49fcdd60e93a2918b407cc49554e4ca10914f7188dabd"


def test_two_builds_give_equal_bytes(make_shards: Maker, tmp_path: Path, byte_codec: Codec):
    folder, _ = make_shards({"a": sentences(6, 50), "b/c": sentences(7, 20)}, held_out=100)
    settings = corpus.Shards(tokens=500, held_out=100, begin_with_bos=False)
    shard.write_shards(tmp_path / "text", byte_codec, settings, tmp_path / "again", wanted=())
    assert manifest.survey(folder) == manifest.survey(tmp_path / "again")


def test_a_large_vocabulary_takes_four_bytes(tmp_path: Path, byte_codec: Codec):
    put(tmp_path / "text", "a", ["hi"])
    codec = dataclasses.replace(byte_codec, vocab_size=(1 << 16) + 1)
    assert shard.write_shards(tmp_path / "text", codec, SETTINGS, tmp_path / "out", wanted=()).dtype == "uint32"
    assert (tmp_path / "out/a/train/tokens-00000.bin").stat().st_size == 12


def test_the_index_reads_back_as_it_was_written(make_shards: Maker):
    folder, made = make_shards({"a": sentences(8, 5), "b/c": ["one"]})
    assert shard.read_shards(folder) == made


def test_an_id_outside_the_vocabulary_stops_the_build(tmp_path: Path, byte_codec: Codec):
    put(tmp_path / "text", "a", ["hi"])
    codec = dataclasses.replace(byte_codec, vocab_size=50)
    with pytest.raises(DataError, match=r"a/train: token id \d+ lies outside the vocabulary of 50"):
        shard.write_shards(tmp_path / "text", codec, SETTINGS, tmp_path / "out", wanted=())


def test_sources_of_a_mix_that_filtering_emptied_are_all_named(tmp_path: Path, byte_codec: Codec):
    put(tmp_path / "text", "a", ["hi"])
    put(tmp_path / "text", "b", [])
    with pytest.raises(DataError, match=r"no document of b is left to train on\. Loosen the filters[^\n]*\n  empty  c$"):
        shard.write_shards(tmp_path / "text", byte_codec, SETTINGS, tmp_path / "out", wanted={"a", "b", "c"})


def test_large_documents_come_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(documents, "CHARACTERS", 250)
    texts = [f"{n:02}" + "x" * 98 for n in range(10)]
    put(tmp_path, "a", texts)
    chunks = list(documents.read_documents(tmp_path, "a"))
    assert [len(ids) for ids, _ in chunks] == [3, 3, 3, 1]
    assert [text for _, some in chunks for text in some] == sorted(texts, key=digest.of_text)


def test_documents_out_of_order_are_refused(tmp_path: Path):
    (tmp_path / "a").mkdir()
    pq.write_table(pa.table({"id": ["b" * 64, "a" * 64], "text": ["x", "y"]}), tmp_path / "a/00000.parquet")
    with pytest.raises(DataError, match=r"document aaaaaaaaaaaa is out of order. Build the stage before again"):
        list(documents.read_documents(tmp_path, "a"))


@pytest.mark.parametrize("table", [None, pa.table({"id": ["a"]})])
def test_a_part_that_is_no_table_of_documents_is_named(tmp_path: Path, table: pa.Table | None):
    (tmp_path / "a").mkdir()
    if table is None:
        (tmp_path / "a/00000.parquet").write_bytes(b"not parquet")
    else:
        pq.write_table(table, tmp_path / "a/00000.parquet")
    with pytest.raises(DataError, match=r"00000\.parquet: not a table of documents"):
        list(documents.read_documents(tmp_path, "a"))


def test_a_flipped_byte_in_a_shard_is_named(make_shards: Maker, tmp_path: Path):
    folder, _ = make_shards({"a": sentences(9, 5)})
    layout = Layout(root=tmp_path, recipe="tiny")
    place = layout.stage("shards")
    shutil.copytree(folder, place.data)
    manifest.seal(place, layout, stage="shards", inputs={}, keys={}, summary={})
    manifest.require_whole(place)
    path = place.data / "a/train/tokens-00000.bin"
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"does not match its manifest[^\n]*\n  changed  a/train/tokens-00000\.bin"):
        manifest.require_whole(place)


def test_an_index_that_leads_out_of_its_folder_is_refused(make_shards: Maker):
    folder, _ = make_shards({"a": ["x"]})
    raw = (folder / "shards.json").read_text().replace("a/train/tokens", "../tokens")
    files.write_text(folder / "shards.json", raw)
    with pytest.raises(IntegrityError, match="is not allowed"):
        shard.read_shards(folder)


def test_an_index_that_breaks_its_schema_is_refused(make_shards: Maker):
    folder, _ = make_shards({"a": ["x"]})
    files.write_json(folder / "shards.json", {"format": 1})
    with pytest.raises(DataError, match="missing key"):
        shard.read_shards(folder)


@pytest.mark.parametrize(("data", "what"), [(b"", "no ids"), (b"abc", "3 bytes are not whole ids")])
def test_a_shard_of_a_wrong_size_is_named(tmp_path: Path, data: bytes, what: str):
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(IntegrityError, match=what):
        shard.map_tokens(tmp_path / "x.bin", "uint16")


def test_the_table_of_documents_is_written_as_it_comes_and_as_if_at_once(
    tmp_path: Path, byte_codec: Codec, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shard, "GROUP", 16)
    monkeypatch.setattr(documents, "ROWS", 7)
    put(tmp_path / "text", "a", sentences(11, 40))
    shard.write_shards(tmp_path / "text", byte_codec, SETTINGS, tmp_path / "out", wanted=())
    path = tmp_path / "out/a/train/documents.parquet"
    table = pq.read_table(path)
    assert [pq.ParquetFile(path).metadata.row_group(i).num_rows for i in range(3)] == [16, 16, 8]
    pq.write_table(table, tmp_path / "once.parquet", row_group_size=16, compression="zstd")
    assert path.read_bytes() == (tmp_path / "once.parquet").read_bytes()
    ends = table["start"].to_numpy() + table["length"].to_numpy()
    assert table["start"].to_pylist() == [0, *ends[:-1].tolist()]


def test_a_source_that_cannot_be_written_leaves_no_table(tmp_path: Path, byte_codec: Codec):
    put(tmp_path / "text", "a", ["hi"])
    codec = dataclasses.replace(byte_codec, vocab_size=50)
    with pytest.raises(DataError):
        shard.write_shards(tmp_path / "text", codec, SETTINGS, tmp_path / "out", wanted=())
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]

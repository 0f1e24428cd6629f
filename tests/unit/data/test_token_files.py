"""Laws of published token files: read to the bit, or refused in one line."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.data.token_kit import draw_rows, write_rows
from yulan import digest
from yulan.data import token_files
from yulan.data.shard import DOCUMENTS, Stream, Vocabulary, write_index
from yulan.data.token_files import read_token_file, write_token_files
from yulan.errors import DataError
from yulan.recipe import corpus

BOS, EOS, SIZE = 1, 2, 99_000
WORDS = Vocabulary(size=SIZE, eos_id=EOS, bos_id=None)
SETTINGS = corpus.Shards(tokens=1000, held_out=0, begin_with_bos=False)


def read(path: Path, words: Vocabulary = WORDS) -> tuple[list[int], list[int], list[str]]:
    """All ids, the documents' lengths, and their ids."""
    found = list(read_token_file(path, "input_ids", words))
    tokens = [each for some in found for each in some.tokens.tolist()]
    return tokens, [n for some in found for n in some.lengths.tolist()], [i for some in found for i in some.ids]


def identity(ids: list[int]) -> str:
    return digest.of_bytes(struct.pack(f"<{len(ids)}I", *ids))


def test_a_stream_is_what_pyarrow_reads_with_an_end_behind_each_row(tmp_path: Path):
    paths = [write_rows(tmp_path / f"{n}.parquet", draw_rows(n, 300, SIZE)) for n in range(3)]
    made, tallies = write_token_files({"web/A": ("input_ids", paths)}, WORDS, SETTINGS, tmp_path / "out")
    index = write_index(tmp_path / "out", WORDS, made)
    rows = [row for path in paths for row in pq.read_table(path)["input_ids"].to_pylist()]
    split = index.sources["web/A"].train
    assert Stream(tmp_path / "out", split, index.dtype).read(0, split.tokens).tolist() == [t for row in rows for t in (*row, EOS)]
    assert (index.dtype, split.documents, split.bytes) == ("uint32", 900, 0)
    table = pq.read_table(tmp_path / "out/web/A/train" / DOCUMENTS)
    assert table["id"].to_pylist() == [identity(row) for row in rows]
    assert np.diff(table["start"].to_numpy()).tolist() == [len(row) + 1 for row in rows[:-1]]
    assert (tallies["web/A"].files, tallies["web/A"].rows, tallies["web/A"].empty) == (3, 900, 0)


def test_a_document_that_was_removed_is_in_no_shard_and_the_others_are_as_before(tmp_path: Path):
    path = write_rows(tmp_path / "0.parquet", draw_rows(0, 300, SIZE))
    rows = pq.read_table(path)["input_ids"].to_pylist()
    gone = {identity(rows[7]), identity(rows[250])}
    made, _ = write_token_files({"a": ("input_ids", [path])}, WORDS, SETTINGS, tmp_path / "out", frozenset(gone))
    left = [row for row in rows if identity(row) not in gone]
    split = made["a"].train
    assert Stream(tmp_path / "out", split, "uint32").read(0, split.tokens).tolist() == [t for row in left for t in (*row, EOS)]
    assert pq.read_table(tmp_path / "out/a/train" / DOCUMENTS)["id"].to_pylist() == [identity(row) for row in left]


@pytest.mark.parametrize(
    ("row", "documents"),
    [
        ([5, 6], [[5, 6]]),
        ([5, 6, EOS], [[5, 6]]),
        ([5, EOS, 6], [[5], [6]]),
        ([EOS, EOS, 5, EOS, EOS], [[5]]),
        ([], []),
        ([EOS], []),
        ([BOS, 5], [[BOS, 5]]),
    ],
)
def test_an_end_is_never_doubled_and_never_inside(tmp_path: Path, row: list[int], documents: list[list[int]]):
    path = write_rows(tmp_path / "a.parquet", [[9], row, [8]])
    expected = [[9], *documents, [8]]
    tokens, lengths, ids = read(path)
    assert tokens == [t for document in expected for t in (*document, EOS)]
    assert lengths == [len(document) + 1 for document in expected]
    assert ids == [identity(document) for document in expected]


def test_a_document_begins_with_bos_once_and_its_id_does_not_move(tmp_path: Path):
    path = write_rows(tmp_path / "a.parquet", [[5, 6], [BOS, 7]])
    tokens, lengths, ids = read(path, Vocabulary(size=SIZE, eos_id=EOS, bos_id=BOS))
    assert (tokens, lengths) == ([BOS, 5, 6, EOS, BOS, 7, EOS], [4, 3])
    assert ids == read(path)[2]


def test_a_large_file_comes_a_bounded_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_rows(tmp_path / "a.parquet", draw_rows(1, 1000, SIZE))
    whole = read(path)
    monkeypatch.setattr(token_files, "IDS", 1000)
    parts = list(read_token_file(path, "input_ids", WORDS))
    assert len(parts) > 50
    assert max(len(part.tokens) for part in parts) < 20 * 210
    assert read(path) == whole


def test_the_id_alone_decides_who_is_held_out(tmp_path: Path):
    path = write_rows(tmp_path / "a.parquet", draw_rows(2, 500, SIZE, 5))
    held = corpus.Shards(tokens=1000, held_out=100, begin_with_bos=False)
    made, _ = write_token_files({"a": ("input_ids", [path])}, WORDS, held, tmp_path / "out")
    kept = pq.read_table(tmp_path / "out/a/held" / DOCUMENTS)["id"].to_pylist()
    assert kept == [i for i in read(path)[2] if int(i[:8], 16) % 1000 < 100]
    assert made["a"].train.documents + made["a"].held.documents == 500


KINDS: list[tuple[Any, str]] = [
    (pa.array([[5], None, [6]]), "row 2 has null in the place of its ids"),
    (pa.array([[5], [6, None]]), "row 2 holds null among its ids"),
    (pa.array([[5], [6, -7]]), "row 2 holds the negative id -7 of 99,000"),
    (pa.array([[5], [], [6, SIZE]]), "row 3 holds an id outside the vocabulary, 99,000 of 99,000"),
    (pa.array([[2**64 - 1]], pa.list_(pa.uint64())), "row 1 holds an id outside the vocabulary, 18,446,744,073,709,551,615"),
    (pa.array([[5.0]]), "the column 'input_ids' is of type list<element: double>, not lists of whole numbers"),
    (pa.array([["a"]]), "not lists of whole numbers"),
    (pa.array([5, 6]), "the column 'input_ids' is of type int64, not lists"),
    (pa.array([[[5]]]), "not lists of whole numbers"),
]


@pytest.mark.parametrize(("column", "what"), KINDS, ids=[what for _, what in KINDS])
def test_what_cannot_be_ids_is_refused_in_one_line(tmp_path: Path, column: pa.Array, what: str):
    pq.write_table(pa.Table.from_arrays([column], ["input_ids"]), tmp_path / "a.parquet")
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.parquet")
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"Error: {tmp_path}/a.parquet: ")
    assert what in line


def test_a_file_without_the_column_names_those_it_has(tmp_path: Path):
    path = write_rows(tmp_path / "a.parquet", [[5]], column="tokens")
    with pytest.raises(DataError, match=r"no column 'input_ids' of token ids\. Name another in sources\.yaml: tokens"):
        read(path)
    found = list(read_token_file(path, "tokens", WORDS))
    assert found[0].tokens.tolist() == [5, EOS]


SPOILT: list[Callable[[bytes], bytes]] = [
    lambda _: b"",
    lambda _: b"PAR1",
    lambda data: data[:-9],
    lambda data: data[: len(data) // 2],
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_file_that_is_cut_short_is_named(tmp_path: Path, spoil: Callable[[bytes], bytes]):
    path = write_rows(tmp_path / "a.parquet", draw_rows(3, 50, SIZE))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"a\.parquet: not a whole Parquet file \(\w+\)\. Fetch it again"):
        read(path)


def test_a_file_of_far_too_many_ids_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_rows(tmp_path / "a.parquet", [[5, 6, 7]])
    monkeypatch.setattr(token_files, "LARGEST", 2)
    with pytest.raises(DataError, match=r"holds more than 2 ids\. Split it into smaller files"):
        read(path)


def test_a_source_of_empty_files_is_named(tmp_path: Path):
    path = write_rows(tmp_path / "a.parquet", [[EOS], [EOS]])
    with pytest.raises(DataError, match="the token files of web hold no document to train on"):
        write_token_files({"web": ("input_ids", [path])}, WORDS, SETTINGS, tmp_path / "out")


def test_a_column_whose_name_is_no_text_is_damage(tmp_path: Path):
    path = write_rows(tmp_path / "a.parquet", [[5, 6]])
    path.write_bytes(path.read_bytes().replace(b"input_ids", b"\xecnput_ids"))
    with pytest.raises(DataError, match=r"not a whole Parquet file \(UnicodeDecodeError\)"):
        read(path)


ROWS = st.lists(st.lists(st.integers(0, 60), max_size=12), min_size=1, max_size=30)


@given(rows=ROWS, kind=st.sampled_from([pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]),
       large=st.booleans(), group=st.integers(1, 8), bos=st.booleans())  # fmt: skip
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_in_any_width_give_the_ids_between_ends(
    tmp_path: Path, rows: list[list[int]], kind: pa.DataType, large: bool, group: int, bos: bool
):
    lists = pa.large_list(kind) if large else pa.list_(kind)
    pq.write_table(pa.table({"input_ids": pa.array(rows, lists)}), tmp_path / "a.parquet", row_group_size=group)
    words = Vocabulary(size=61, eos_id=EOS, bos_id=BOS if bos else None)
    tokens, lengths, ids = read(tmp_path / "a.parquet", words)
    parts = []
    for row in rows:
        part: list[int] = []
        for each in (*row, EOS):
            if each != EOS:
                part.append(each)
            elif part:
                parts.append(part)
                part = []
    assert ids == [identity(part) for part in parts]
    shown = [[BOS, *part] if bos and part[0] != BOS else part for part in parts]
    assert tokens == [t for part in shown for t in (*part, EOS)]
    assert lengths == [len(part) + 1 for part in shown]


@given(where=st.integers(0, 10**9), flip=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_read_or_refused_and_never_more(tmp_path: Path, where: int, flip: int, cut: bool):
    path = tmp_path / "a.parquet"
    rows = draw_rows(4, 40, 500, 20)
    pq.write_table(pa.table({"input_ids": rows}), path, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    place = where % len(data)
    data[place] ^= flip
    path.write_bytes(data[:place] if cut else data)
    said = ""
    try:
        tokens, lengths, _ = read(path, Vocabulary(size=500, eos_id=EOS, bos_id=None))
    except DataError as error:
        tokens, lengths, said = [], [], str(error)
    assert len(said.splitlines()) <= 1
    assert sum(lengths) == len(tokens)
    assert all(0 <= token < 500 for token in tokens)

"""Text that someone brings: which files are read, what cannot be a document, and that memory stays bounded."""

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yulan import digest
from yulan.data import spill
from yulan.data.documents import read_documents
from yulan.data.own.find import find
from yulan.data.own.write import REJECTS, Given, read_own, survey, write_own
from yulan.data.readers import lines
from yulan.data.readers.reject import Reject
from yulan.data.readers.rows import read
from yulan.data.spill import buckets_for, gather, spread
from yulan.errors import DataError

TEXTS = [f"document {n} says {'something ' * (n % 7)}else" for n in range(50)]


def json_lines(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text, "n": n}).encode() + b"\n" for n, text in enumerate(texts))


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def arrow(path: Path, texts: list[str]) -> None:
    """As `datasets` saves a set: an Arrow stream."""
    table = pa.table({"text": texts})
    with path.open("wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=7)


WAYS: dict[str, Callable[[Path, list[str]], object]] = {
    "a.jsonl": lambda path, texts: path.write_bytes(json_lines(texts)),
    "a.jsonl.gz": lambda path, texts: path.write_bytes(gzip.compress(json_lines(texts))),
    "a.jsonl.zst": lambda path, texts: path.write_bytes(zstd(json_lines(texts[:20])) + zstd(json_lines(texts[20:]))),
    "a.parquet": lambda path, texts: pq.write_table(pa.table({"text": texts}), path, row_group_size=8),
    "a.arrow": arrow,
}


def make(path: Path, texts: list[str] = TEXTS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    WAYS["a" + "".join(path.suffixes)](path, texts)
    return path


def written(path: Path, into: Path, column: str = "text") -> dict[str, str]:
    given = {"mine": Given(path=path, column=column)}
    write_own(given, survey(given), into / "texts", into / "data", lambda line: None)
    return {i: t for ids, texts in read_documents(into / "texts", "mine") for i, t in zip(ids, texts, strict=True)}


@pytest.mark.parametrize("name", WAYS)
def test_every_kind_of_file_gives_its_texts_in_order(name: str, tmp_path: Path):
    assert list(read(make(tmp_path / name), name, "text")) == TEXTS


@pytest.mark.parametrize("name", WAYS)
def test_documents_come_out_once_with_their_ids_and_in_their_order_whatever_the_file_was(name: str, tmp_path: Path):
    documents = written(make(tmp_path / name, [*TEXTS, *TEXTS[:3]]), tmp_path / "out")
    assert documents == {digest.of_text(text): text for text in TEXTS}
    assert list(documents) == sorted(documents)
    found = read_own(tmp_path / "out" / "data").sources["mine"]
    assert (found.documents, found.duplicates, found.rejected) == (50, 3, {})
    assert found.bytes == sum(len(text.encode()) for text in TEXTS)


def test_other_files_in_another_order_give_the_same_bytes(tmp_path: Path):
    one, other = tmp_path / "one", tmp_path / "other"
    make(one / "a.jsonl", TEXTS)
    make(other / "x.parquet", TEXTS[30:][::-1])
    make(other / "y.jsonl.gz", TEXTS[:30])
    for folder in (one, other):
        written(folder, folder / "out")
    made = [(folder / "out" / "texts" / "mine" / "00000.parquet").read_bytes() for folder in (one, other)]
    assert made[0] == made[1]


def test_a_line_that_cannot_be_a_document_is_listed_with_its_number_and_the_rest_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lines, "LONGEST", 200)
    monkeypatch.setattr("yulan.data.readers.rows.LONGEST", 100)
    rows = [
        b'\xef\xbb\xbf{"text": "a byte order mark comes first"}',
        b'{"text": "cut',
        b"",
        b"[1, 2]",
        b'{"text": null}',
        b'{"text": 5}',
        b'{"body": "x"}',
        b'{"text": " \\n"}',
        b'{"text": "\xff\xfe"}',
        b'{"text": "\\ud800 alone"}',
        b'{"text": "' + b"w" * 150 + b'"}',
        b'{"text": "' + b"w" * 5000 + b'"}',
        b'{"text": "last, without a line end"}',
    ]
    (tmp_path / "bad.jsonl").write_bytes(b"\n".join(rows))
    documents = written(tmp_path / "bad.jsonl", tmp_path / "out")
    assert sorted(documents.values()) == ["a byte order mark comes first", "last, without a line end"]
    told = [json.loads(line) for line in (tmp_path / "out" / "data" / REJECTS).read_text().splitlines()]
    assert [(row["where"], row["reason"]) for row in told] == [
        ("bad.jsonl:2", "json"),
        ("bad.jsonl:4", "no-object"),
        ("bad.jsonl:5", "null"),
        ("bad.jsonl:6", "not-text"),
        ("bad.jsonl:7", "no-column"),
        ("bad.jsonl:8", "empty"),
        ("bad.jsonl:9", "json"),
        ("bad.jsonl:10", "json"),
        ("bad.jsonl:11", "huge"),
        ("bad.jsonl:12", "long-line"),
    ]
    assert read_own(tmp_path / "out" / "data").sources["mine"].rejected["json"] == 3


def test_rows_of_a_table_that_are_null_empty_or_not_utf_8_are_listed(tmp_path: Path):
    # Arrow does not look into strings: a file can hold any bytes in them.
    values = pa.array([b"good", None, b"\xff\xfe", b" "], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": values}), tmp_path / "t.parquet")
    found = list(read(tmp_path / "t.parquet", "t", "text"))
    assert found == ["good", *(Reject(where=f"t:{n}", reason=r) for n, r in ((2, "null"), (3, "utf-8"), (4, "empty")))]


def test_of_a_data_sets_folder_test_and_validation_splits_are_left_out_and_named(tmp_path: Path):
    names = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/latest.jsonl"]
    held = ["data/test-00000-of-00001.parquet", "validation/a.jsonl", "data/dev.jsonl.gz"]
    for name in [*names, *held, ".cache/x.jsonl"]:
        make(tmp_path / name)
    (tmp_path / "README.md").write_text("card")
    found = find(tmp_path)
    assert sorted(map(found.name, found.paths)) == sorted(names)
    assert sorted(found.left_out) == sorted(held)
    assert find(tmp_path / "data" / "dev.jsonl.gz").left_out == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "no such file or folder"),
        ("a.csv", "not a file of rows"),
        ("folder", "holds no rows"),
        ("held", "holds test and validation splits only"),
    ],
)
def test_what_holds_no_text_to_train_on_is_refused(name: str, words: str, tmp_path: Path):
    (tmp_path / "a.csv").write_text("text\n")
    (tmp_path / "folder").mkdir()
    make(tmp_path / "held" / "test.jsonl")
    with pytest.raises(DataError, match=words):
        find(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet", "a.arrow"])
def test_a_file_that_is_cut_short_is_named(name: str, tmp_path: Path):
    path = make(tmp_path / name, ["text " * 40 + str(random.Random(n).random()) for n in range(4000)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="cannot be read to its end") as raised:
        list(read(path, name, "text"))
    assert raised.value.where == path


def test_a_table_without_the_column_says_which_it_has(tmp_path: Path):
    pq.write_table(pa.table({"body": ["x"], "n": [1]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"no column named 'text'\. Name it with --text-column: body, n"):
        list(read(tmp_path / "t.parquet", "t", "text"))
    with pytest.raises(DataError, match="the column 'n' is of type int64, not text"):
        list(read(tmp_path / "t.parquet", "t", "n"))
    assert list(read(tmp_path / "t.parquet", "t", "body")) == ["x"]


def test_a_source_of_which_nothing_can_be_taken_is_refused_with_the_reasons(tmp_path: Path):
    with pytest.raises(DataError, match=r"not one document could be taken\. .*'txt' was read") as raised:
        written(make(tmp_path / "a.jsonl"), tmp_path / "out", "txt")
    assert raised.value.evidence == ("no-column  50",)


@pytest.mark.parametrize("buckets", [1, 4, 256])
def test_documents_are_sorted_whatever_the_number_of_buckets(buckets: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spill, "HELD", 500)
    pairs = [(digest.of_text(text), text) for text in [*TEXTS, *TEXTS[:9]]]
    spread(iter(pairs), tmp_path, buckets)
    found = [row for table in gather(tmp_path, buckets) for row in zip(*table.to_pydict().values(), strict=True)]
    assert found == sorted(set(pairs))


def test_more_data_is_spread_over_more_buckets_up_to_a_bound():
    assert [buckets_for(size) for size in (0, 1 << 26, 1 << 30, 1 << 40)] == [1, 1, 16, 256]


PEAK = """
import re
from pathlib import Path
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
"""Prints the peak of the resident set, KiB; rusage would count the process that it was forked from."""
WRITE = """
import sys
from pathlib import Path
from yulan.data.own.write import Given, survey, write_own
given = {"mine": Given(path=Path(sys.argv[1]), column="text")}
write_own(given, survey(given), Path(sys.argv[1] + ".texts"), Path(sys.argv[1] + ".data"), print)
"""
READ = """
import sys
from pathlib import Path
from yulan.data.readers.rows import read
sum(1 for _ in read(Path(sys.argv[1]), "file", "text"))
"""


def peak(program: str, path: Path) -> int:
    """MB."""
    told = [sys.executable, "-c", program + PEAK, str(path)]
    done = subprocess.run(told, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) >> 10


def noise(megabytes: int) -> list[str]:
    """So many MB in texts of 20,000 characters that no compression makes much smaller."""
    return [os.urandom(10_000).hex() for _ in range(megabytes * 50)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak")
def test_memory_does_not_grow_with_the_data_nor_with_its_longest_line(tmp_path: Path):
    peaks = []
    for megabytes in (30, 120):
        path = tmp_path / f"{megabytes}.jsonl"
        with path.open("wb") as file:
            file.write(json_lines(noise(megabytes)))
            file.write(b'{"text": "' + b"w" * (megabytes << 20) + b'"}\n')
        peaks.append(peak(WRITE, path))
    assert peaks[1] - peaks[0] < 50, f"peaks of {peaks} MB"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak")
def test_memory_does_not_grow_with_the_row_groups_of_a_table(tmp_path: Path):
    peaks = []
    for megabytes in (30, 120):
        pq.write_table(pa.table({"text": noise(megabytes)}), tmp_path / "t.parquet", row_group_size=1 << 30, use_dictionary=False)
        peaks.append(peak(READ, tmp_path / "t.parquet"))
    assert peaks[1] - peaks[0] < 30, f"peaks of {peaks} MB"

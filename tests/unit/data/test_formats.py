"""Files that strangers wrote: each kind is read, each line is a document or a reject, and nothing in them ends the reader."""

import contextlib
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.data.corpus_kit import source
from tests.unit.data.test_own import PEAK, WAYS, make
from yulan.data import readers
from yulan.data.drops import read_drops
from yulan.data.raw import LISTED, REJECTS, write_raw
from yulan.data.readers import Reject, documents
from yulan.errors import DataError, RecipeError, YulanError
from yulan.schema import check

TEXTS = [f"document {n} says {'something ' * (n % 7)}else 数据" for n in range(50)]
OPTIONS: dict[str, dict[str, Any]] = {"rows": {"column": "text"}, "text": {"per": "line"}}
LOOSE = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(reader: str, path: Path, **options: object) -> list[str | Reject]:
    return list(documents(source(reader=reader, options=options or OPTIONS.get(reader, {})), "a/b", [path]))


@pytest.mark.parametrize("name", [*WAYS, "b.json", "b.json.gz", "b.json.zst"])
def test_rows_are_read_from_every_kind_of_file(name: str, tmp_path: Path):
    plain = make(tmp_path / name.replace(".json", ".jsonl") if name.startswith("b") else tmp_path / name, TEXTS)
    assert read("rows", plain.rename(tmp_path / name)) == TEXTS


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"text": "cut', "json"),
        (b'{"text": "\xff\xfe"}', "json"),
        (b"[1, 2]", "no-object"),
        (b'"text"', "no-object"),
        (b'{"text": null}', "null"),
        (b'{"text": 5}', "not-text"),
        (b'{"text": ["a"]}', "not-text"),
        (b'{"text": true}', "not-text"),
        (b'{"body": "x"}', "no-column"),
        (b'{"text": " \\n"}', "empty"),
        (b'{"text": "\\ud800 alone"}', "json"),
        (b'{"text": "a", "text": "b"}', "repeated-key"),
        (b'{"text": "a", "te\\u0078t": "b"}', "repeated-key"),
        (b'{"text": NaN}', "json"),
        (b'{"text": ' + b"[" * 5000 + b"]" * 5000 + b"}", "json"),
        (b'{"text": "x"} {"text": "y"}', "json"),
        (b'{"text": "in \\"text\\" itself", "more": {"text": "inner"}}', None),
        (b'{"text": "\\u0061 \\ud83d\\ude42"}', None),
        (b'{"text": "a"}\r', None),
        (b"", "blank"),
        (b" \t\r", "blank"),
    ],
)
def test_a_line_is_a_document_a_reject_or_blank(line: bytes, found: str | None, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "first"}\n' + line + b'\n{"text": "last"}')
    first, *middle, last = read("rows", path)
    assert (first, last) == ("first", "last")
    if found == "blank":
        assert middle == []
    elif found is None:
        assert [type(each) for each in middle] == [str]
    else:
        assert middle == [Reject(where="a.jsonl:2", reason=found)]


@given(lines=st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=20).map(lambda t: json.dumps({"text": t}).encode()))))
@LOOSE
def test_no_line_is_lost(lines: list[bytes], tmp_path: Path):
    data = b"\n".join(lines)
    (tmp_path / "a.jsonl").write_bytes(data)
    said = [line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    assert len(read("rows", tmp_path / "a.jsonl")) == len(said)
    (tmp_path / "a.txt").write_bytes(data)
    assert len(read("text", tmp_path / "a.txt")) == len([line for line in data.split(b"\n") if line.strip()])


@given(data=st.data(), name=st.sampled_from(["a.parquet", "a.arrow", "a.jsonl.gz", "a.jsonl.zst"]))
@LOOSE
def test_damaged_files_end_in_an_error_of_one_line_or_in_texts(data: st.DataObject, name: str, tmp_path: Path):
    whole = bytearray(make(tmp_path / name, TEXTS).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(whole[: data.draw(st.integers(len(whole) // 2, len(whole)))])
    with contextlib.suppress(YulanError):
        assert all(isinstance(found, (str, Reject)) for found in read("rows", tmp_path / name))


def test_corrupt_parquet_and_other_kinds_of_file_are_named(tmp_path: Path):
    path = make(tmp_path / "a.parquet", TEXTS)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read to its end"):
        read("rows", path)
    (tmp_path / "card.md").write_text("# Card")
    with pytest.raises(DataError, match=r"card\.md: no file of rows by its name\. Name in the source's paths what ends in"):
        read("rows", tmp_path / "card.md")
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"no column named 'text'\. Name it with options\.column in sources\.yaml: body"):
        read("rows", tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("reader", "options", "cure"),
    [
        ("rows", {}, r"Write options: \{column: str\}"),
        ("rows", {"column": 3}, r"Write options: \{column: str\}"),
        ("rows", {"column": "text", "split": "train"}, r"Write options: \{column: str\}"),
        ("text", {"per": "page"}, r"Write options: \{per: file \| line\}"),
        ("code", {"per": "line"}, r"Write options: \{\}"),
    ],
)
def test_a_reader_is_told_what_it_takes(reader: str, options: dict[str, Any], cure: str, tmp_path: Path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(RecipeError, match=rf"sources\.a/b\.options: the reader '{reader}' is told other things\. {cure}"):
        list(documents(source(reader=reader, options=options), "a/b", [tmp_path / "a"]))


@pytest.mark.parametrize("name", ["data/train-*.parquet", "saved/*.arrow", "lines/*.jsonl.gz"])
def test_folders_of_datasets_give_what_datasets_loads(name: str, tmp_path: Path):
    import datasets

    made = datasets.Dataset.from_dict({"text": TEXTS, "n": list(range(50))})
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    (folder / "lines").mkdir()
    for shard in range(2):
        made.shard(2, shard, contiguous=True).to_parquet(folder / f"data/train-{shard:05}-of-00002.parquet")
    made.save_to_disk(folder / "saved", num_shards=3)
    made.to_json(folder / "lines/train.jsonl.gz", compression="gzip")
    kind, files = ("parquet", "data/*.parquet") if "parquet" in name else ("json", "lines/*.gz")
    loaded = (
        datasets.load_from_disk(str(folder / "saved"))
        if "arrow" in name
        else datasets.load_dataset(kind, data_files=str(folder / files), split="train", cache_dir=str(tmp_path / "cache"))
    )
    sources = {"web/set": source(package="set", reader="rows", options={"column": "text"}, paths=(name,))}
    write_raw(sources, tmp_path, tmp_path / "raw")
    found = pq.read_table(tmp_path / "raw/web/set/00000.parquet", partitioning=None)
    assert sorted(found["text"].to_pylist()) == sorted(loaded["text"])


def test_rejects_are_all_counted_and_a_bounded_number_is_listed(tmp_path: Path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.jsonl").write_bytes(b'{"text": "good"}\n' + b"{\n" * (LISTED + 200) + b'{"text": null}\n')
    sources = {"web/set": source(package="set", reader="rows", options={"column": "text"}, paths=("*.jsonl",))}
    flow = write_raw(sources, tmp_path, tmp_path / "raw").sources["web/set"]
    assert (flow.documents, flow.kept) == (LISTED + 202, 1)
    assert {name: reason.count for name, reason in flow.reasons.items()} == {"json": LISTED + 200, "null": 1}
    assert len(flow.reasons["json"].samples) == 10
    assert read_drops(tmp_path / "raw").sources["web/set"] == flow
    rows = [json.loads(line) for line in (tmp_path / "raw" / REJECTS).read_text().splitlines()]
    for row in rows:
        check(row, "rejects", REJECTS)
    assert len(rows) == LISTED
    assert rows[0] == {"source": "web/set", "where": "a.jsonl:2", "reason": "json"}


def test_plain_text_is_a_document_a_file_or_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\n\r\n二\n".encode() + b"\xff\nnul\0\n")
    assert read("text", tmp_path / "a.txt") == [
        "one",
        "二",
        Reject(where="a.txt:4", reason="utf-8"),
        Reject(where="a.txt:5", reason="binary"),
    ]
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    assert read("text", tmp_path / "b.txt.gz", per="file") == ["one\ntwo"]
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"one\ntwo\n")[:-9])
    with pytest.raises(DataError, match="cannot be unpacked to its end"):
        read("text", tmp_path / "b.txt.gz")
    monkeypatch.setattr("yulan.data.readers.whole.LONGEST_LINE", 4)
    (tmp_path / "c.txt").write_bytes(b"12345")
    assert read("text", tmp_path / "c.txt", per="file") == [Reject(where="c.txt", reason="long-line")]


@given(data=st.binary(max_size=300), name=st.sampled_from(["a.jsonl", "a.jsonl.gz", "a.json.zst", "a.parquet", "a.arrow", "a"]))
@LOOSE
def test_no_bytes_under_any_name_break_a_reader(data: bytes, name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(data)
    for reader in sorted(readers.READERS.keys() - {"reasoning-gym"}):
        with contextlib.suppress(YulanError):
            assert all(isinstance(found, (str, Reject)) for found in read(reader, tmp_path / name))


LINE = """
import sys
from pathlib import Path
from tests.unit.data.test_formats import read
for found in read("rows", Path(sys.argv[1])):
    print(found if len(str(found)) < 99 else len(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak")
def test_a_line_of_two_gigabytes_is_skipped_without_being_held(tmp_path: Path):
    path, last = tmp_path / "a.jsonl", b'{"text": "after it"}\n'
    with path.open("wb") as file:
        file.write(b'{"text": "' + b"w" * (120 << 20) + b'"}\n')
        file.seek((2 << 30) + (200 << 20))  # a hole: bytes of 0, and no disk
        file.write(b"\n" + last)
    command = [sys.executable, "-c", LINE + PEAK, str(path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    *told, peak = done.stdout.splitlines()
    assert told[-1] == "after it"
    assert [re.findall(r"'([a-z]+:?[^']*)'", line)[1] for line in told[:-1]] == ["long-line", "long-line"]
    assert int(peak) >> 10 < 400, "MB"

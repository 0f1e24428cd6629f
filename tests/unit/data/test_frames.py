"""Equal tables give equal bytes; Daft's hashes are the ones that published signatures were made with."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yulan import digest
from yulan.data import frames
from yulan.data.documents import read_documents, source_names
from yulan.errors import DataError, IntegrityError


def table(texts: list[str], source: str = "a/b") -> pa.Table:
    return pa.table(
        {"id": [digest.of_text(t) for t in texts], "text": texts, "source": [source] * len(texts)}, schema=frames.DOCUMENTS
    )


def test_signatures_are_frozen():
    """A new Daft that hashes otherwise would find other duplicates under the same recipe."""
    texts = pa.array(["the quick brown fox jumps over", "人 工 智 能 是", "a b", ""])
    assert frames.signatures(texts, hashes=4, shingle=5, seed=1).tolist() == [
        [2389110902, 929556292, 1245903095, 250711218],
        [1858638953, 3420109984, 2402964787, 1263896809],
        [147236947, 216370974, 4180703649, 2598245855],
        [2**32 - 1] * 4,
    ]


def test_no_texts_have_no_signatures():
    made = frames.signatures(pa.array([], pa.string()), hashes=4, shingle=5, seed=1)
    assert (made.shape, made.dtype) == ((0, 4), np.uint32)


def test_the_order_of_rows_does_not_change_a_byte(tmp_path: Path):
    texts = [f"text {n}" for n in range(5000)]
    frames.write(tmp_path / "one", "a/b", table(texts))
    frames.write(tmp_path / "two", "a/b", table(texts[::-1]))
    one, two = (tmp_path / name / "a/b/00000.parquet" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert pq.ParquetFile(one).num_row_groups == 2
    assert source_names(tmp_path / "one") == ("a/b",)


def test_parts_are_bounded_and_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frames, "PART_BYTES", 100)
    frames.write(tmp_path, "a", table([f"{n:02}" * 20 for n in range(9)] + ["x" * 400]))
    sizes = [sum(map(len, frames.read([path])["text"].to_pylist())) for path in frames.parts(tmp_path, "a")]
    assert sum(sizes) == 9 * 40 + 400
    assert all(size <= 100 or size == 400 for size in sizes)
    ids = [each for group, _ in read_documents(tmp_path, "a") for each in group]
    assert ids == sorted(ids)


def test_an_empty_table_is_one_empty_part(tmp_path: Path):
    frames.write(tmp_path, "a", table([]))
    assert len(frames.read(frames.parts(tmp_path, "a"))) == 0


def test_a_function_sees_every_text_once_and_rows_stay_in_order(tmp_path: Path):
    texts = [f"text {n}" for n in range(3000)]
    frames.write(tmp_path, "a", table(texts))
    seen: list[int] = []

    def measure(batch: list[str]) -> dict[str, list[int]]:
        seen.append(len(batch))
        return {"size": [len(text) for text in batch]}

    made = frames.each(frames.parts(tmp_path, "a"), measure, pa.schema([("size", pa.int64())]))
    assert made.schema.names == ["id", "text", "source", "size"]
    assert made["size"].to_pylist() == [len(text) for text in made["text"].to_pylist()]
    assert made["id"].to_pylist() == sorted(made["id"].to_pylist())
    assert sum(seen) == 3000
    assert max(seen) <= frames.BATCH_ROWS


def test_what_is_not_parquet_is_an_error(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/00000.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"not readable as Parquet documents\. Build the stage before again"):
        frames.read(frames.parts(tmp_path, "a"))
    with pytest.raises(DataError, match="not readable as Parquet documents"):
        frames.each(frames.parts(tmp_path, "a"), lambda texts: {}, pa.schema([("size", pa.int64())]))


def test_folders_may_have_any_name(tmp_path: Path):
    folder = tmp_path / "my clone [1] {2} 数据 100%25 *"
    frames.write(folder, "a/b", table(["text"]))
    made = frames.each(
        frames.parts(folder, "a/b"), lambda texts: {"size": [len(t) for t in texts]}, pa.schema([("size", pa.int64())])
    )
    assert made["size"].to_pylist() == [4]


def test_a_function_runs_in_a_plan_and_its_error_comes_out_as_it_is():
    assert frames.call(lambda: {"sum": 1 + 2}) == {"sum": 3}

    def fail() -> dict[str, object]:
        raise IntegrityError("bytes differ", where=Path("a b"), cure="Get them again", evidence=["one", "two"])

    with pytest.raises(IntegrityError) as found:
        frames.call(fail)
    told = found.value
    assert (told.what, told.where, told.cure, told.evidence) == ("bytes differ", "a b", "Get them again", ("one", "two"))


@pytest.mark.parametrize("sizes", [[], [0], [5], [4096], [4095, 1], [3, 8199, 0, 9], [100] * 60])
def test_rows_that_come_table_by_table_give_the_bytes_of_one_table(tmp_path: Path, sizes: list[int]):
    tables = [table([f"{number} of {size}" for number in range(size)]) for size in sizes]
    frames.write_part(tmp_path / "one", pa.concat_tables([frames.DOCUMENTS.empty_table(), *tables]))
    frames.write_stream(tmp_path / "many", iter(tables), frames.DOCUMENTS)
    assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()

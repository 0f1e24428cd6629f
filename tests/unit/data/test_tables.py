"""Rows by a key: the same whether the order is used or not, and no table, however made, ends the process that asks."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yulan.data.holdings import Holding, holdings
from yulan.data.index.fate import rows_of
from yulan.data.tables import holding
from yulan.errors import DataError


def put(path: Path, ids: list[str], rows: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": pa.array(ids, pa.string()), "text": pa.array([f"text {each}" for each in ids], pa.string())})
    pq.write_table(table, path, row_group_size=rows)
    return path


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), max_size=40), st.integers(1, 7), st.sets(st.sampled_from("aceghxyz0"), max_size=3))
def test_the_order_of_rows_saves_reading_and_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], rows: int, wanted: set[str]
):
    path = put(tmp_path_factory.mktemp("tables") / "a.parquet", sorted(ids), rows)
    with pq.ParquetFile(path) as file:
        expected = [n for n in range(file.num_row_groups) if wanted & set(sorted(ids)[n * rows : (n + 1) * rows])]
        assert list(holding(file, "id", wanted, ordered=True)) == expected
        assert list(holding(file, "id", wanted, ordered=False)) == expected


def test_rows_are_found_by_id_wherever_they_stand(tmp_path: Path):
    path = put(tmp_path / "a.parquet", ["b", "a", "b", "c"], 2)
    assert rows_of(path, "b", ["id"]) == [{"id": "b"}, {"id": "b"}]
    assert rows_of(path, "x") == rows_of(tmp_path / "absent.parquet", "b") == []
    assert holdings(tmp_path, {"c"}) == [Holding(file="a.parquet", kind="text")]
    assert holdings(tmp_path, {"x"}) == []


def crafted(path: Path) -> bytes:
    """The column is said to be required, so its histogram of levels has one too many: pyarrow 25 aborts."""
    whole = put(path, [f"{n:04}" for n in range(50)], 10).read_bytes()
    optional, required = b"\x25\x02\x18\x02id", b"\x25\x00\x18\x02id"
    assert whole.count(optional) == 1
    path.write_bytes(whole.replace(optional, required))
    return whole


CONTROL = "import sys, pyarrow.parquet as pq; pq.ParquetFile(sys.argv[1]).metadata.row_group(0).column(0).statistics"
ASKS = """
import sys
from pathlib import Path
from yulan.data.holdings import holdings
from yulan.data.index.fate import rows_of
from yulan.errors import DataError
path = Path(sys.argv[1])
for ask in (lambda: rows_of(path, "0031"), lambda: rows_of(path, "0031", ordered=True), lambda: holdings(path.parent, {"0031"})):
    try:
        ask()
    except DataError as error:
        print(error)
"""


def test_a_crafted_footer_ends_no_process(tmp_path: Path):
    crafted(tmp_path / "a.parquet")

    def run(program: str) -> int:
        return subprocess.run(
            [sys.executable, "-c", program, tmp_path / "a.parquet"], capture_output=True, timeout=120
        ).returncode

    assert run(CONTROL) < 0, "a reader that asks for the statistics dies, or this shows nothing"
    assert run(ASKS) == 0


FUZZ = """
import random, resource, sys
from pathlib import Path
from yulan.data.holdings import holdings
from yulan.data.index.fate import rows_of
from yulan.errors import DataError

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
path, draw = Path(sys.argv[1]), random.Random(11)
good = path.read_bytes()
footer = 8 + int.from_bytes(good[-8:-4], "little")
refused = 0
for _ in range(400):
    made = bytearray(good)
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(made) - footer if draw.random() < 0.7 else 0, len(made))
        made[at] = draw.choice((made[at] ^ 1 << draw.randrange(8), draw.randrange(256), 0, 255))
    path.write_bytes(made)
    for number in range(3):
        try:
            rows_of(path, "0031", ordered=number == 1) if number else holdings(path.parent, {"0031"})
        except DataError:
            refused += 1
print(refused)
"""


@pytest.mark.slow
def test_a_damaged_table_ends_no_process(tmp_path: Path):
    path = put(tmp_path / "a.parquet", [f"{n:04}" for n in range(50)], 10)
    done = subprocess.run([sys.executable, "-c", FUZZ, path], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 200


def test_what_is_no_table_is_said_in_one_line(tmp_path: Path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"a\.parquet: not a whole Parquet file \(ArrowInvalid\)\. Build the stage again"):
        holdings(tmp_path, {"a"})
    with pytest.raises(DataError, match=r"a\.parquet: not a table of documents \(ArrowInvalid\)\. Build the stage again"):
        rows_of(tmp_path / "a.parquet", "a")

"""Footers of strangers' Parquet files: what they declare, or None; never the end of who asks."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yulan.errors import StateError
from yulan.release import footers as module
from yulan.release.footers import Declared, Footers


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"input_ids": [[1, 2, 3], [], [4]] * 5}), file)
    return file.getvalue()


WHOLE = parquet()
SOUND = Declared(rows=15, tokens=25)


def crafted() -> bytes:
    """The column is said to be required, so its histogram of levels has one too many: pyarrow 25 aborts."""
    optional, required = b"\x35\x02\x18\x09input_ids", b"\x35\x00\x18\x09input_ids"
    assert WHOLE.count(optional) == 1
    return WHOLE.replace(optional, required)


def test_the_crafted_footer_ends_a_process_that_asks_for_its_column():
    program = (
        "import io, sys, pyarrow.parquet as pq; pq.read_metadata(io.BytesIO(sys.stdin.buffer.read())).row_group(0).column(0)"
    )
    done = subprocess.run([sys.executable, "-c", program], input=crafted(), capture_output=True, check=False)
    assert done.returncode < 0


def test_a_footer_that_kills_its_reader_is_none_and_the_next_are_read():
    with Footers() as footers:
        found = [footers.read(tail, "input_ids") for tail in (WHOLE, crafted(), WHOLE, WHOLE[:-9], b"", WHOLE[-300:])]
    assert found[:5] == [SOUND, None, SOUND, None, None]


def test_threads_get_their_own_answers_whatever_the_others_asked():
    tails = [WHOLE, b"no table", crafted(), WHOLE] * 4
    with Footers() as footers, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda tail: footers.read(tail, "input_ids"), tails)) == [SOUND, None, None, SOUND] * 4


def test_another_column_declares_no_ids():
    with Footers() as footers:
        assert footers.read(WHOLE, "text") == Declared(rows=15, tokens=0)


@settings(max_examples=150, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_footers_are_read_or_refused(footers: Footers, changes: list[tuple[int, int]]):
    made = bytearray(WHOLE)
    for place, value in changes:
        made[-1 - place % 600] = value
    found = footers.read(bytes(made), "input_ids")
    assert found is None or (found.rows >= 0 and found.tokens >= 0)


@pytest.fixture(scope="module")
def footers():
    with Footers() as made:
        yield made


def test_a_reader_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(module, "PROGRAM", tmp_path / "gone.py")
    with Footers() as footers, pytest.raises(StateError, match="the reader of Parquet footers does not start"):
        footers.read(WHOLE, "input_ids")

"""Sort more documents than memory holds: spread them over files by id, then sort one file after the other."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from yulan import files
from yulan.data import frames

BUCKETS = 256
"""The first two digits of an id. Ids are hashes, so equal shares fall to each."""
PACKED = 8
"""Bytes of text that a byte of a compressed file may stand for."""
COMPRESSED = (".gz", ".zst", ".zip", ".parquet", ".arrow")
"""Arrow's own files may be."""
HELD = 1 << 24
"""Characters in memory while documents are spread."""
ROWS = pa.schema([("id", pa.large_string()), ("text", pa.large_string())])


def text_bytes(path: Path) -> int:
    """About how much text a file holds, to choose how many buckets."""
    return path.stat().st_size * (PACKED if path.name.endswith(COMPRESSED) else 1)


def buckets_for(text: int) -> int:
    """How many files so many bytes of text are spread over: a power of two, at most one a pair of digits."""
    wanted = max(1, -(-text // frames.PART_BYTES))
    return min(BUCKETS, 1 << (wanted - 1).bit_length())


def spread(documents: Iterator[tuple[str, str]], folder: Path, buckets: int) -> None:
    """Write (id, text) pairs to `buckets` files below `folder`, in any order; about HELD characters are in memory."""
    held: list[list[tuple[str, str]]] = [[] for _ in range(buckets)]
    with ExitStack() as stack:
        files_ = [stack.enter_context(files.open_new(_bucket(folder, number))) for number in range(buckets)]
        writers = [stack.enter_context(pa.ipc.new_stream(file, ROWS)) for file in files_]

        def flush() -> None:
            for rows, writer in zip(held, writers, strict=True):
                if rows:
                    columns = [pa.array([row[i] for row in rows], pa.large_string()) for i in (0, 1)]
                    writer.write_batch(pa.record_batch(columns, schema=ROWS))
                    rows.clear()

        size = 0
        for identity, text in documents:
            held[int(identity[:2], 16) * buckets // BUCKETS].append((identity, text))
            size += len(text) + 64
            if size >= HELD:
                flush()
                size = 0
        flush()


def gather(folder: Path, buckets: int) -> Iterator[pa.Table]:
    """Bucket after bucket: id and text, sorted by id, of equal ids the first text only. One bucket is in memory."""
    for number in range(buckets):
        table = sort([folder], number)
        if len(table) > 1:
            ids = table["id"].combine_chunks()
            fresh = pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1))
            table = table.filter(pa.concat_arrays([pa.array([True]), fresh]))
        yield table


def sort(folders: Sequence[Path], number: int) -> pa.Table:
    """What was spread over one bucket of several folders: id and text, sorted by both."""
    tables = []
    for folder in folders:
        with pa.memory_map(str(_bucket(folder, number))) as source, pa.ipc.open_stream(source) as stream:
            tables.append(stream.read_all())
    return pa.concat_tables([ROWS.empty_table(), *tables]).sort_by([("id", "ascending"), ("text", "ascending")])


def _bucket(folder: Path, number: int) -> Path:
    return folder / f"{number:03}.arrow"

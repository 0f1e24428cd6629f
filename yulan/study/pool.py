"""Run what is missing, some processes at a time, one thread each; every finished run is a row, so a rerun goes on."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

from yulan import files
from yulan.errors import DataError
from yulan.schema import check
from yulan.train.launch.guard import die_with_parent

Job = TypeVar("Job")
Row = dict[str, Any]


def _single() -> None:
    """One thread a process: more would only divide the same cores, and would change the bits of a sum."""
    import torch

    torch.set_num_threads(1)


def _begin() -> None:
    # A killed study would leave processes that work through its whole queue.
    die_with_parent()
    _single()


def rows_of(path: Path, kind: str) -> dict[str, Row]:
    """Finished runs by their name.

    Raises: DataError: a row breaks its schema.
    """
    found = {}
    for number, row in enumerate(files.complete_rows(path), 1):
        check(row, kind, f"{path}:{number}", DataError)
        found[row["name"]] = row
    return found


def run_all(
    jobs: Sequence[Job],
    work: Callable[[Job], list[Row]],
    path: Path,
    kind: str,
    processes: int,
    tell: Callable[[int, int, Row], None],
) -> None:
    """Begin the jobs in their order and add the rows of each that ends to `path`; `tell` hears of every row.

    Raises: DataError: a row breaks its schema. What a run raises ends the study; rows added before it stay.
    """
    # What a kill cut short is dropped, or the next row would be glued to it.
    files.write_rows(path, list(rows_of(path, kind).values()))
    for number, rows in enumerate(_made(jobs, work, processes), 1):
        for row in rows:
            check(row, kind, path, DataError)
            tell(number, len(jobs), row)
        files.append(path, rows)


def _made(jobs: Sequence[Job], work: Callable[[Job], list[Row]], processes: int) -> Iterator[list[Row]]:
    if processes == 1 or len(jobs) < 2:
        _single()
        yield from map(work, jobs)
        return
    # Not fork: torch's thread pools do not survive it.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin)
    try:
        futures: list[Future[list[Row]]] = [pool.submit(work, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)

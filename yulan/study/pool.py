"""Run what is missing, some processes at a time, one thread each; every finished run is a row, so a rerun goes on."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

from yulan import files
from yulan.errors import DataError
from yulan.schema import check

Job = TypeVar("Job")


def _single() -> None:
    """One thread a process: more would only divide the same cores, and would change the bits of a sum."""
    import torch

    torch.set_num_threads(1)


def rows_of(path: Path, kind: str) -> dict[str, dict[str, Any]]:
    """Finished runs by their name.

    Raises: DataError: a row breaks its schema.
    """
    found = {}
    for number, row in enumerate(files.complete_rows(path), 1):
        check(row, kind, f"{path}:{number}", DataError)
        found[row["name"]] = row
    return found


def run_missing(
    jobs: Mapping[str, Job],
    work: Callable[[Job], dict[str, Any]],
    path: Path,
    kind: str,
    processes: int,
    tell: Callable[[int, int, dict[str, Any]], None],
) -> dict[str, dict[str, Any]]:
    """Rows of all jobs, those that `path` lacks made now in their order; `tell` hears of each new one.

    Raises: DataError: a row breaks its schema. What a run raises ends the study; rows made before it stay.
    """
    done = rows_of(path, kind)
    missing = [job for name, job in jobs.items() if name not in done]
    # What a kill cut short is dropped, or the next row would be glued to it.
    files.write_rows(path, list(done.values()))
    for row in _made(missing, work, processes):
        check(row, kind, path, DataError)
        files.append(path, [row])
        done[row["name"]] = row
        tell(len(done), len(jobs), row)
    return {name: done[name] for name in jobs}


def _made(jobs: Sequence[Job], work: Callable[[Job], dict[str, Any]], processes: int) -> Iterator[dict[str, Any]]:
    if processes == 1 or len(jobs) < 2:
        _single()
        yield from map(work, jobs)
        return
    # Not fork: torch's thread pools do not survive it.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _single)
    try:
        futures: list[Future[dict[str, Any]]] = [pool.submit(work, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)

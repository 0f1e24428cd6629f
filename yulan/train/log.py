"""The two logs of a phase: metrics.jsonl, the truth behind every curve, and replay.jsonl, what a replay is held to.

Each row carries the digest of itself and of all rows before it, along the whole path. Only what a rerun would
write again stands in them, as in watch.jsonl, a look inside the model now and then (observe.py), which no digest of a row covers;
times go to timing.jsonl, which is no part of an artifact.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from yulan import digest, files
from yulan.errors import IntegrityError
from yulan.schema import check
from yulan.train.checkpoint.state import Chain

METRICS, REPLAY, WATCH, TIMING = "metrics.jsonl", "replay.jsonl", "watch.jsonl", "timing.jsonl"


def finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def batch_digest(micros: Iterable[str]) -> str:
    """One digest for a step's micro-batches, in the order of the grid."""
    return digest.of_parts(each.encode() for each in micros)


def chain_row(previous: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row with its `chain`."""
    return row | {"chain": digest.chained(previous, row)}


def require_chain(path: Path, rows: list[dict[str, Any]], begin: str) -> str:
    """Follow the chain from `begin`; returns its end.

    Raises: IntegrityError: a row was changed, dropped or added, or breaks its schema.
    """
    kind = "metrics" if path.name == METRICS else "replay"
    for number, row in enumerate(rows, 1):
        check(row, kind, f"{path}:{number}", IntegrityError)
        told = {key: value for key, value in row.items() if key != "chain"}
        if digest.chained(begin, told) != row["chain"]:
            raise IntegrityError("does not follow from the row before", where=f"{path}:{number}", cure="Restore the log")
        begin = row["chain"]
    return begin


class Log:
    """The logs of one phase, opened at a checkpoint: rows after it are taken back, those before are checked."""

    def __init__(self, folder: Path, step: int, begin: Chain, end: Chain) -> None:
        """`step`: the checkpoint's global step; `begin`: the chains before the phase; `end`: the checkpoint's.

        Raises: IntegrityError: the rows do not lead from `begin` to `end`.
        """
        self.folder, self.chain = folder, end
        for name, first, last in ((METRICS, begin.metrics, end.metrics), (REPLAY, begin.replay, end.replay)):
            path = folder / name
            rows = [row for row in files.complete_rows(path) if row["step"] <= step]
            if require_chain(path, rows, first) != last:
                raise IntegrityError(
                    "does not lead to the checkpoint", where=path, cure="Restore the log, or remove the run folder to begin again"
                )
            files.write_rows(path, rows)
        files.write_rows(folder / WATCH, [row for row in files.complete_rows(folder / WATCH) if row["step"] <= step])

    def add(self, metrics: dict[str, Any], replay: dict[str, Any], *, durable: bool) -> None:
        """One step; `durable` before a checkpoint that counts on it."""
        told, held = chain_row(self.chain.metrics, metrics), chain_row(self.chain.replay, replay)
        files.append(self.folder / METRICS, [told], durable=durable)
        files.append(self.folder / REPLAY, [held], durable=durable)
        self.chain = Chain(metrics=told["chain"], replay=held["chain"])

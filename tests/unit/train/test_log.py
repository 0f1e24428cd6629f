import json
from pathlib import Path

import pytest

from yulan import digest, files
from yulan.errors import IntegrityError
from yulan.train.checkpoint.state import GENESIS, Chain
from yulan.train.log import METRICS, REPLAY, Log, batch_digest, finite, require_chain

BEGIN = Chain(metrics=GENESIS, replay=GENESIS)


def fill(folder: Path, steps: range, log: Log | None = None) -> list[Chain]:
    log = log or Log(folder, 0, BEGIN, BEGIN)
    chains = [log.chain]
    for step in steps:
        metrics = {"step": step, "phase_step": step, "tokens": step, "targets": 1, "loss": 1.5, "z": 2.0}
        replay = {"step": step, "batch": batch_digest(["ab", "cd"]), "loss": (1.5).hex(), "grad_norm": (0.5).hex()}
        log.add(
            metrics | {"lr": 0.1, "grad_norm": 0.5, "skipped": False, "why": None, "windows": None, "rollback": None},
            replay,
            durable=step == 2,
        )
        chains.append(log.chain)
    return chains


def test_each_row_covers_all_rows_before_it(tmp_path: Path):
    chains = fill(tmp_path, range(1, 4))
    rows = files.complete_rows(tmp_path / METRICS)
    first = {key: value for key, value in rows[0].items() if key != "chain"}
    assert rows[0]["chain"] == digest.chained(GENESIS, first)
    assert require_chain(tmp_path / METRICS, rows, GENESIS) == chains[-1].metrics
    assert require_chain(tmp_path / REPLAY, files.complete_rows(tmp_path / REPLAY), GENESIS) == chains[-1].replay


def test_resuming_takes_back_later_rows_and_a_torn_one_and_writes_the_same_bytes_again(tmp_path: Path):
    chains = fill(tmp_path, range(1, 6))
    whole = (tmp_path / METRICS).read_bytes()
    with (tmp_path / METRICS).open("ab") as file:
        file.write(b'{"step": 6, "lo')
    log = Log(tmp_path, 2, BEGIN, chains[2])
    assert len(files.complete_rows(tmp_path / METRICS)) == 2
    fill(tmp_path, range(3, 6), log)
    assert (tmp_path / METRICS).read_bytes() == whole


@pytest.mark.parametrize("harm", ["change", "drop", "add"])
def test_a_log_that_was_touched_is_refused(tmp_path: Path, harm: str):
    chains = fill(tmp_path, range(1, 4))
    rows = files.complete_rows(tmp_path / METRICS)
    if harm == "change":
        rows[1]["loss"] = 1.25
    elif harm == "drop":
        del rows[1]
    else:
        rows.insert(1, rows[0])
    files.write_rows(tmp_path / METRICS, rows)
    with pytest.raises(IntegrityError, match="does not follow from the row before"):
        Log(tmp_path, 3, BEGIN, chains[3])


def test_a_log_that_ends_too_early_is_refused(tmp_path: Path):
    chains = fill(tmp_path, range(1, 4))
    files.write_rows(tmp_path / METRICS, files.complete_rows(tmp_path / METRICS)[:2])
    with pytest.raises(IntegrityError, match="does not lead to the checkpoint"):
        Log(tmp_path, 3, BEGIN, chains[3])


def test_json_never_sees_what_is_not_finite():
    assert (finite(float("nan")), finite(float("inf")), finite(0.5)) == (None, None, 0.5)
    assert json.dumps(finite(float("nan"))) == "null"

"""Ranks that are killed or stopped while the others wait for them."""

import datetime
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.faults import warm
from tests.faults.inject import at_step, wrap
from tests.faults.rows import Trial, require, row
from yulan.train import backend, run
from yulan.train.checkpoint import saver, stream
from yulan.train.launch.job import CHECKPOINTS

TIMEOUT = 4.0
"""Seconds that a collective waits here; 20 minutes in earnest."""
SLACK = 8.0
"""Seconds beyond it: the launcher's grace, the start of the run, and a busy machine."""
Act = Callable[[], None]


def at_exchange(number: int, act: Act) -> None:
    """Before ranks tell each other their targets in a step."""
    _counted(run.Run, "exchange", number, act)


def in_gather(number: int, act: Act) -> None:
    """Within a save, before pieces are summed; there are three sums a save."""
    _counted(stream, "_to_first", number, act)


def _counted(owner: Any, name: str, number: int, act: Act) -> None:
    done = 0

    def count(*_: Any, **__: Any) -> None:
        nonlocal done
        done += 1
        if done == number:
            act()

    wrap(owner, name, count)


PLACES: list[tuple[str, Callable[[Act], None]]] = [
    ("before a step's exchange", partial(at_exchange, 6)),
    ("before a step's update", partial(at_step, 6)),
    ("in the second save", partial(in_gather, 5)),
]


def lose(trial: Trial, number: int, victim: int, put: Callable[[Act], None]) -> float:
    """Send a rank a signal at a place; what comes of it is as stated. Returns: seconds."""
    house, folder = trial.house, trial.folder / "run"

    def in_rank(rank: int) -> None:
        # What is patched is what each module has imported by name.
        backend.TIMEOUT = saver.TIMEOUT = datetime.timedelta(seconds=TIMEOUT)
        if rank == victim:
            put(lambda: os.kill(os.getpid(), number))

    house.undisturbed(2)
    began = time.monotonic()
    code, said = house.train(house.plan(2), folder, in_rank)
    seconds = time.monotonic() - began
    require(code == 9, f"ended with {code}:", said)
    require("a training process ended with" in said, said)
    require(seconds < house.seconds[2, 12] + TIMEOUT + warm.GRACE + SLACK, f"it took {seconds:.1f} s")
    good = house.last_good(folder, 2)
    require(good in {2, 4}, f"checkpoint {good} in", sorted(p.name for p in (folder / CHECKPOINTS).iterdir()))
    house.rerun(folder, 2)
    return seconds


@row(
    "rank-killed",
    fault="a rank is killed in a step or in a save",
    how="SIGKILL of rank 0 or 1 of two before a step's exchange, before its update, or within a save's sums",
    outcome="the run ends at once with exit code 9, no marker of the save in flight, the rerun ends byte-equal",
    trials=12,
)
def rank_killed(trial: Trial) -> None:
    where, put = PLACES[trial.number % 3]
    lose(trial, signal.SIGKILL, 1 - trial.number // 3 % 2, put)
    trial.seen[where] += 1


@row(
    "rank-stopped",
    fault="a rank is stopped in a step or in a save",
    how=f"SIGSTOP at the same places; collectives wait {TIMEOUT:.0f} s here instead of 20 minutes",
    outcome="the run ends after that time with exit code 9, no marker of the save in flight, the rerun ends byte-equal",
    trials=6,
    sample=1,
)
def rank_stopped(trial: Trial) -> None:
    where, put = PLACES[(trial.number + 2) % 3]
    lose(trial, signal.SIGSTOP, 1 - trial.number // 3 % 2, put)
    trial.seen[where] += 1

"""Whole runs that are killed, signalled, and started twice."""

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial

from tests.faults import warm
from tests.faults.ground import House, free
from tests.faults.inject import at_operation, at_step
from tests.faults.rows import Trial, require, row
from tests.faults.writer import bench_of
from tests.unit.train import disturb
from tests.unit.train.disturb import children, descendants
from yulan.train.checkpoint.scan import newest, steps_in
from yulan.train.launch.job import CHECKPOINTS

KILLED, CODE = -signal.SIGKILL, 9
LONG = 48
"""Steps of a run under torchrun."""
STAGE = "FAULTS_STAGE"


def victims(stage: int, who: str) -> list[int]:
    """Process ids; none if they have ended."""
    agents = children(stage)
    ranks = [pid for agent in agents for pid in children(agent)]
    return {"stage": [stage], "launcher": agents, "rank": ranks[-1:], "all": [stage, *descendants(stage)]}[who]


@row(
    "run-kill",
    fault="SIGKILL of a whole run: its stage, its launcher, one rank, or all of them",
    how="at a drawn moment of a run of 12 steps and 6 saves, on one and two processes in turn",
    outcome="nobody lives on; complete checkpoints are unchanged; the same command again ends byte-equal",
    trials=50,
)
def run_kill(trial: Trial) -> None:
    draw, house = random.Random(trial.seed), trial.house
    processes, who = trial.pick(1, 2), ("all", "stage", "launcher", "rank")[trial.number // 2 % 4]
    run = trial.folder / "run"
    house.undisturbed(processes)
    stage = house.start(house.plan(processes), run)
    time.sleep(draw.uniform(0.2, 0.95) * house.seconds[processes, 12])
    for pid in victims(stage.pid, who):
        os.kill(pid, signal.SIGKILL)
    code, said = stage.wait()
    require(code in ({KILLED, 0} if who in {"all", "stage"} else {CODE, 0}), f"ended with {code}:", said)
    good = house.last_good(run, processes)
    trial.seen[f"killed {who}, after its end" if code == 0 else f"killed {who}"] += 1
    trial.seen["with a checkpoint to go on from" if good else "before the first checkpoint"] += 1
    house.rerun(run, processes)


STRIKES: list[tuple[Callable[[int, list[int]], None], int, str]] = [
    (disturb.kill_rank, CODE, "a training process ended with code"),
    (disturb.kill_launcher, CODE, "a training process ended with code -9"),
    (disturb.kill_stage, KILLED, ""),
    (disturb.terminate_stage, CODE, "stopped by SIGTERM"),
    (disturb.interrupt_stage, CODE, "stopped by SIGINT"),
    (disturb.terminate_rank, CODE, "training ended before its last step"),
]


@row(
    "torchrun-kill",
    fault="the same, and signals, under torchrun itself",
    how="SIGKILL of rank, launcher and stage, SIGTERM of stage and rank, SIGINT, after some of 48 steps; one and two processes",
    outcome="exit code 9, nobody lives on after 2 s, the rerun ends byte-equal",
    trials=8,
    sample=0,
)
def torchrun_kill(trial: Trial) -> None:
    processes = 2 if trial.number < len(STRIKES) else 1
    strike, expected, words = STRIKES[trial.number % len(STRIKES)]
    run = trial.folder / "run"
    after = random.Random(trial.seed).randint(8, LONG // 2)
    code, said = disturb.disturb(trial.house.world, run, after, strike, steps=LONG, processes=processes)
    require(code == expected, f"{strike.__name__}: ended with {code}:", said)
    require(words in said, said)
    require(trial.house.last_good(run, processes, LONG) is not None, "no checkpoint")
    trial.house.rerun(run, processes, LONG)
    trial.seen[strike.__name__] += 1


def signalling(number: int, times: int, put: Callable[[Callable[[], None]], None]) -> Callable[[int], None]:
    """A fault that sends the stage a signal where rank 0 stands."""

    def send() -> None:
        for _ in range(times):
            os.kill(int(os.environ[STAGE]), number)
            time.sleep(0.02)

    def in_rank(rank: int) -> None:
        if rank == 0:
            put(send)

    return in_rank


def tell_stage() -> None:
    os.environ[STAGE] = str(os.getpid())


@row(
    "signals",
    fault="SIGTERM or SIGINT in a step or in a save, once or twice",
    how="sent to the stage before the fifth update, or at a drawn point of the third save; one and two processes in turn",
    outcome="exit code 9, `stopped by …`; a checkpoint of the very step in which it came; the rerun ends byte-equal",
    trials=16,
)
def signals(trial: Trial) -> None:
    number, times = trial.pick(signal.SIGTERM, signal.SIGINT), 1 + trial.number // 2 % 2
    processes, where = 1 + trial.number // 4 % 2, ("step", "save")[trial.number // 8 % 2]
    draw, run = random.Random(trial.seed), trial.folder / "run"
    points = len(bench_of(trial).points)
    put = partial(at_step, 5) if where == "step" else partial(at_operation, 3, draw.randint(1, points))
    house: House = trial.house
    code, said = house.train(house.plan(processes), run, signalling(number, times, put), in_stage=tell_stage)
    require(code == CODE, f"ended with {code}:", said)
    require(f"stopped by {number.name}" in said, said)
    house.last_good(run, processes)
    found, _ = newest(run / CHECKPOINTS)
    logged = disturb.steps_done(run)
    require(
        found is not None and found.name == f"step-{logged:06d}", f"{logged} steps logged, checkpoints", steps_in(found.parent)
    )
    # The signal's way from the stage to the ranks may take a step or two.
    require((5 if where == "step" else 6) <= logged < 12, "it stopped at step", logged)
    house.rerun(run, processes)
    trial.seen[f"{number.name} in a {where}" + ", twice" * (times == 2)] += 1


@row(
    "two-trainers",
    fault="two trainers in one run folder",
    how="a second one is started while the first trains; one and two processes in turn",
    outcome="the second is refused with exit code 6; the first ends byte-equal",
    trials=4,
    sample=0,
)
def two_trainers(trial: Trial) -> None:
    house, processes, run = trial.house, trial.pick(1, 2), trial.folder / "run"
    house.undisturbed(processes)
    first = house.start(house.plan(processes), run)
    while disturb.steps_done(run) < 2:
        require(warm.ended(first.pid, 0) is None, "the first ended")
        time.sleep(0.01)
    second = house.start(house.plan(processes), run)
    code, said = second.wait(look=False)
    require(code == 6, f"the second ended with {code}:", said)
    require("another process works in this folder" in said, said)
    require(warm.ended(first.pid, 0) is None, "the second ended the first")
    code, said = first.wait()
    require(code == 0, f"the first ended with {code}:", said)
    free(run)
    house.rerun(run, processes)

"""What watching and tracking cost of a step: `python -m tests.bench.watch`, nano's model, a rank's half of a step of two.

Each round takes a step, judges it, logs it and looks inside the model, one after the other, so that what slows the machine
slows all of them. MLflow is fed one look and the steps around it; its thread's own processor time counts as if a rank lost it.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.unit.train.audit_kit import in_process
from tests.unit.train.conftest import World, build_world
from yulan import files
from yulan.data.batch import Batches
from yulan.data.order import Order
from yulan.data.pack import Pack
from yulan.layout import find_root
from yulan.profile import load_profile
from yulan.recipe import load_recipe
from yulan.train.backend import connect
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.state import GENESIS, NOTHING, Chain
from yulan.train.engine import Engine
from yulan.train.log import WATCH, Log
from yulan.train.observe import Before, look
from yulan.train.track import Attempt, Store
from yulan.train.watch import follow, refusal

ROUNDS, DRAWS = 30, 10_000
Times = dict[str, list[float]]


@contextlib.contextmanager
def timed(times: Times, name: str, clock: Callable[[], float] = time.perf_counter) -> Iterator[None]:
    began = clock()
    yield
    times.setdefault(name, []).append(clock() - began)


def interval(values: Any) -> str:
    """Median and its 95 % bootstrap interval."""
    medians = np.median(np.random.default_rng(1).choice(values, (DRAWS, len(values))), 1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return f"{np.median(values):.2%} ({low:.2%} to {high:.2%})"


def measure(world: World, folder: Path, times: Times) -> None:
    recipe, phase, profile = world.recipe, world.recipe.phase("phase-01"), replace(load_profile("cpu-1"), zero=1)
    rule, begin = recipe.watch, Chain(metrics=GENESIS, replay=GENESIS)
    torch.set_num_threads(1)
    # Before the engine, which keeps DeepSpeed from importing MLflow.
    store = Store(folder / "mlflow.db", recipe.name)
    run = store.open(Attempt(recipe=recipe, phase="phase-01", run="bench", inputs={}, commit=None))["attempt"]
    connect(profile)
    engine = Engine(recipe, phase, profile)
    engine.load(read_checkpoint(world.parent, engine.parameters), 0)
    pack = Pack.open(world.folder / "mix", world.folder / "shards")
    batches = Batches(pack=pack, order=Order(windows=pack.windows, key="0" * 64), batch=phase.batch, grid=phase.grid)
    log, seen = Log(folder, 0, begin, begin), NOTHING
    for number in range(1, ROUNDS + 1):
        micros = [batches.micro((number - 1) * phase.batch, index) for index in range(phase.grid)]
        with timed(times, "before"):
            before = Before.of(engine)
        with timed(times, "step"):
            for micro in micros:
                engine.backward(micro, 1e-4)
            norm = engine.step(1e-3)
        with timed(times, "judge"):
            why = refusal(rule, seen, 7.0 + 0.01 * (number % 7), norm)
            seen = follow(rule, seen, number, 7.0 + 0.01 * (number % 7), norm, why)
        with timed(times, "after"):
            row = look(engine, micros[0], before, number, norm, True)
            files.append(folder / WATCH, [row])
        told = {"step": number, "loss": 7.0, "z": 60.0, "lr": 0.01, "grad_norm": norm, "tokens": number}
        with timed(times, "log"):
            log.add(told, {"step": number, "loss": norm.hex()}, durable=False)
        rows = [told | {"step": number * rule.every + each} for each in range(rule.every)]
        with timed(times, "feed", time.thread_time):
            store.log(run, rows)
            store.look(run, [row])


def main() -> None:
    nano, times = load_recipe(find_root(), "nano").recipe, Times()
    phase, every = nano.phase("phase-01"), nano.watch.every
    half = replace(phase, batch=phase.batch // 2, grid=phase.grid // 2, tokens=ROUNDS * phase.step_tokens // 2)
    with tempfile.TemporaryDirectory() as name, in_process():
        measure(build_world(Path(name) / "world", replace(nano, phases={"phase-01": half})), Path(name), times)
    spent = {key: np.array(values) for key, values in times.items()}
    looking = spent["before"] + spent["after"]
    watching, tracking = looking / every + spent["judge"], spent["log"] + spent["feed"] / every
    for label, cost in (("watching", watching), ("tracking", tracking), ("together", watching + tracking)):
        print(f"{label}: {interval(cost / spent['step'])} of a step")
    for label, cost in (
        ("step", spent["step"]),
        (f"look, each {every} steps", looking),
        ("feeding MLflow with it", spent["feed"]),
    ):
        print(f"{label}: {1e3 * np.median(cost):,.1f} ms")


if __name__ == "__main__":
    main()

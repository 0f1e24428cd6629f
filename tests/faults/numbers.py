"""Losses and gradients that are not numbers, or stand out."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from tests.faults.rows import Trial, require, row
from tests.unit.train.disturb import tree
from tests.unit.train.poison import spoilt
from yulan import files
from yulan.recipe import Recipe
from yulan.recipe.training import Stretch
from yulan.schema import plain
from yulan.train.checkpoint.scan import step_name, steps_in
from yulan.train.checkpoint.state import read_state, read_tensors
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import METRICS

NAN, INF, SPIKE = float("nan"), float("inf"), 400.0
"""The last: a quarter of the grid times 400 is a loss of a hundred times the usual one."""
EVERY, STEPS = 4, 26
HELD = ExitStack()
"""Of a rank, which is forked for one run: what it is under stays to its end."""
CASES: list[tuple[str, dict[int, float], Sequence[tuple[int, int]], dict[int, str]]] = [
    ("NaN", {12: NAN}, [(12, 12)], {12: "not finite"}),
    ("Inf", {12: INF}, [(12, 12)], {12: "not finite"}),
    ("x100 spike", {12: SPIKE}, [(12, 12)], {12: "loss"}),
    ("NaN and spike close together: back to step 16", {18: NAN, 19: SPIKE}, [(17, 19)], {18: "not finite", 19: "loss"}),
]
"""What goes wrong at which step, what a run is told to skip beforehand that ends alike, and what the log says."""


def spoiling(factors: Mapping[int, float]) -> Callable[[int], None]:
    """Of each rank: the last micro-batch of the grid has its loss and gradient multiplied in these steps of the phase."""
    return lambda rank: HELD.enter_context(spoilt(factors))


def watchful(recipe: Recipe, told: Sequence[tuple[int, int]] = ()) -> Recipe:
    """A short memory, one way back, and steps to be skipped whatever they are."""
    phase = recipe.phase("phase-01")
    skip = tuple(Stretch(first=first, last=last) for first, last in told)
    phase = replace(phase, skip=skip, checkpoints=replace(phase.checkpoints, every=EVERY))
    # Gradients of so small a model jump by themselves.
    watch = replace(recipe.watch, window=8, least=4, patience=2, within=4, rollbacks=1, grad_norm=500.0, loss=50.0)
    return replace(recipe, watch=watch, phases={**recipe.phases, "phase-01": phase})


def end(run: Any) -> tuple[Any, Any]:
    """Digest of every tensor at the end, and what the state says but for the way there."""
    folder = run / CHECKPOINTS / step_name(STEPS)
    state = plain(read_state(folder))
    return plain(read_tensors(folder)), {key: state[key] for key in state.keys() - {"keys", "chain", "watched"}}


@row(
    "spike",
    fault="a NaN, an Inf, a loss of a hundred times the usual one, or two of them close together",
    how="loss and gradient of one micro-batch are multiplied at steps of 26; one and two processes",
    outcome="the step is skipped, or training goes back to the checkpoint before; the log says why; the end is that of a run "
    "told to skip the same windows, bit for bit",
    trials=8,
)
def spike(trial: Trial) -> None:
    what, factors, told, why = trial.pick(*CASES)
    processes, house = 1 + trial.number // len(CASES) % 2, trial.house
    recipe = house.world.recipe
    run, other = trial.folder / "run", trial.folder / "told"
    code, said = house.train(house.plan(processes, STEPS, recipe=watchful(recipe)), run, spoiling(factors))
    require(code == 0, f"{what}: ended with {code}:", said)
    rows = {row["step"]: row for row in files.complete_rows(run / METRICS)}
    require(list(rows) == list(range(1, STEPS + 1)), "the log has other steps:", list(rows))
    found = {step: row["why"] for step, row in rows.items() if row["skipped"]}
    require(found == why, "skipped:", found)
    code, said = house.train(house.plan(processes, STEPS, recipe=watchful(recipe, told)), other)
    require(code == 0, f"the told run ended with {code}:", said)
    require(end(run) == end(other), f"{what}: the end is not that of a run told to skip {told}")
    trial.seen[what] += 1


@row(
    "persistent-nan",
    fault="a NaN that stays",
    how="every step from the tenth on, on one and two processes in turn",
    outcome="after the recipe's ways back the run ends with exit code 9; no bad step changes a weight; the checkpoint before "
    "is unchanged",
    trials=2,
)
def persistent(trial: Trial) -> None:
    processes, house, run = trial.pick(1, 2), trial.house, trial.folder / "run"
    recipe = watchful(house.world.recipe)
    house.go(house.plan(processes, 8, recipe=recipe), run)
    before = tree(run / CHECKPOINTS / step_name(8))
    bad = dict.fromkeys(range(10, STEPS + 1), NAN)
    code, said = house.train(house.plan(processes, STEPS, recipe=recipe), run, spoiling(bad))
    require(code == 9, f"ended with {code}:", said)
    require("refused" in said and "Traceback" not in said, said)
    require(tree(run / CHECKPOINTS / step_name(8)) == before, "the checkpoint before changed")
    rows = files.complete_rows(run / METRICS)
    require(all(row["skipped"] for row in rows if row["step"] >= 10), "a bad step was not skipped")
    last = steps_in(run / CHECKPOINTS)[-1]
    weights = {row.name: row.sha256 for row in read_tensors(run / CHECKPOINTS / step_name(last)).tensors if row.set == "weights"}
    good = {row.name: row.sha256 for row in read_tensors(run / CHECKPOINTS / step_name(8)).tensors if row.set == "weights"}
    require(last == 8 or weights == good, "weights changed after the last good checkpoint")
    trial.seen[f"on {processes} process{'es' if processes > 1 else ''}"] += 1

"""A run that goes on under other ranks, another stage of ZeRO, threads or machine; and one whose inputs changed meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.faults.ground import STEPS, House
from tests.faults.rows import Trial, require, row
from tests.unit.train.conftest import profile
from tests.unit.train.disturb import tree
from yulan.profile import Profile
from yulan.schema import plain
from yulan.train import determinism, run
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import State, read_state
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.phase import link_outcome

CHANGED = "from here on CLOSE, not EXACT"


def saving_again(into: Path) -> Callable[[int], None]:
    """Of each rank: what it has loaded it saves at once, with all the others, before it trains."""

    def in_rank(number: int) -> None:
        restore = run.Run.restore

        def restored(self: run.Run) -> State:
            state, engine = restore(self), self.engine
            write_checkpoint(into, state, engine.parameters, engine.fragment, lead=self.lead)
            return state

        run.Run.restore = restored  # type: ignore[method-assign]

    return in_rank


def tensors(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(folder).items() if name.endswith(".safetensors")}


def go_on(trial: Trial, folder: Path, machine: Profile, steps: int, **more: Any) -> str:
    """Train up to a step under a profile; what is loaded is bit for bit what was saved."""
    house: House = trial.house
    before = sorted((folder / CHECKPOINTS).glob("step-*"))[-1:]
    held = tensors(before[0]) if before else None
    again = trial.folder / f"again-{steps}"
    code, said = house.train(house.plan(0, steps, profile=machine), folder, saving_again(again), **more)
    require(code == 0, f"ended with {code}:", said)
    if held is not None:
        require(len(held) == 3 and tensors(again) == held, "what was loaded is not what was saved")
    return said


ROADS = {
    "1 -> 2 -> 1 ranks": [profile(1), profile(2), profile(1)],
    "ZeRO 1 -> 3 -> 2": [profile(2, 1), profile(2, 3), profile(2, 2)],
}


def exact(machine: Profile) -> Profile:
    return replace(machine, reduction="exact")


def exact_end(house: House) -> dict[str, bytes]:
    """What an undisturbed run with exact sums ends with."""
    into = house.root / "exact" / "data"
    if not into.exists():
        house.train(
            house.plan(0, profile=exact(profile(1))), into.with_name("run"), after=lambda outcome: link_outcome(outcome, into)
        )
    return tree(into)


@row(
    "elastic",
    fault="world size 1 -> 2 -> 1, ZeRO 1 -> 3 -> 2",
    how="four steps under each; loaded states are saved again at once; with the engine's own sums and with `reduction: exact`",
    outcome="states equal bit for bit; CLOSE is said, and under `exact` EXACT holds: the end is byte-equal to one process's",
    trials=4,
)
def elastic(trial: Trial) -> None:
    words = trial.pick(*ROADS)
    sums, folder = ("engine", "exact")[trial.number // 2 % 2], trial.folder / "run"
    machines = [exact(each) if sums == "exact" else each for each in ROADS[words]]
    for steps, machine in zip((4, 8, STEPS), machines, strict=True):
        said = go_on(trial, folder, machine, steps)
        require((CHANGED in said) == (sums == "engine" and steps > 4), said)
    state = read_state(folder / CHECKPOINTS / step_name(STEPS))
    require(state.trajectory == ("CLOSE" if sums == "engine" else "EXACT"), state.trajectory)
    if sums == "exact":
        ends = exact_end(trial.house)
        for step in (STEPS - 2, STEPS):
            place = f"{CHECKPOINTS}/{step_name(step)}"
            told = {name: data for name, data in ends.items() if name.startswith(place)}
            own = {f"{place}/{name}": data for name, data in tree(folder / place).items()}
            require(own == told, f"step {step} differs from one process's")
    trial.seen[f"{words}, {sums} sums: {state.trajectory}"] += 1


def other_isa() -> None:
    determinism.isa = lambda: "another"


def other_torch() -> None:
    version = determinism.metadata.version
    determinism.metadata.version = lambda name: "2.12.1" if name == "torch" else version(name)


@row(
    "class",
    fault="thread count, instruction set or torch version changed under a resume",
    how="two threads instead of one; another ISA or version told to the stage (the kernels are the same); one and two processes",
    outcome="states equal bit for bit; it goes on with a warning that names both; CLOSE from there on",
    trials=6,
    sample=0,
)
def machine_class(trial: Trial) -> None:
    import shutil

    what, processes = trial.pick("threads", "isa", "torch"), 1 + trial.number // 3 % 2
    folder, house = trial.folder / "run", trial.house
    shutil.copytree(house.stopped(processes, 8), folder)
    machine = profile(processes)
    if what == "threads":
        machine = replace(machine, threads=2)
    in_stage = {"threads": lambda: None, "isa": other_isa, "torch": other_torch}[what]
    said = go_on(trial, folder, machine, STEPS, in_stage=in_stage)
    words = {"threads": "x 2 threads", "isa": "now another", "torch": "torch 2.12.1"}[what]
    require(CHANGED in said and words in said, said)
    end = folder / CHECKPOINTS / step_name(STEPS)
    require(read_state(end).trajectory == "CLOSE", read_state(end).trajectory)
    if what != "threads":
        require(tensors(end) == tensors(house.undisturbed(processes) / "all" / step_name(STEPS)), "the weights differ")
    trial.seen[what] += 1


@row(
    "other-recipe",
    fault="recipe, mix or parent changed under a resume of a given folder",
    how="seed, learning rate, a key of the phase, the mix's digest, the parent checkpoint: one each",
    outcome="refused with exit code 6, what changed is named, nothing is trained; with the old inputs it ends byte-equal",
    trials=5,
)
def other_recipe(trial: Trial) -> None:
    import shutil

    house, folder = trial.house, trial.folder / "run"
    shutil.copytree(house.stopped(1, 8), folder)
    before = tree(folder / CHECKPOINTS)
    what = trial.pick("seed", "schedule", "phases.phase-01", "mix", "parent")
    plan = house.plan(1)
    recipe = plan.recipe
    if what == "seed":
        changed = replace(plan, recipe=replace(recipe, seed=7))
    elif what == "schedule":
        changed = replace(plan, recipe=replace(recipe, schedule=replace(recipe.schedule, peak=recipe.schedule.peak * 2)))
    elif what == "phases.phase-01":
        phase = replace(recipe.phase("phase-01"), rope_theta=500.0)
        changed = replace(plan, recipe=replace(recipe, phases=dict(recipe.phases) | {"phase-01": phase}))
    elif what == "mix":
        changed = replace(plan, mix_digest="6" * 64)
    else:
        changed = replace(plan, parent=other_parent(trial, plan.parent))
    code, said = house.train(changed, folder)
    require(code == 6, f"{what}: ended with {code}:", said)
    require("holds another run; changed: " in said and what in said.split("changed: ")[1], said)
    require(tree(folder / CHECKPOINTS) == before, "a checkpoint changed")
    house.rerun(folder, 1)
    trial.seen[what] += 1


def other_parent(trial: Trial, parent: Path) -> Path:
    """The same weights at the end of another path."""
    found = read_checkpoint(parent)
    from yulan.model.shape import parameters

    state = replace(found.state, chain=replace(found.state.chain, metrics="1" * 64))
    into = trial.folder / "parent" / parent.name
    parts = parameters(trial.house.world.recipe.model)
    write_checkpoint(into, state, parts, lambda name, kind: (0, found.tensor(name, kind).view(-1)), moments=None)
    require(plain(found.state) != plain(state), "the parent is the same")
    return into

"""Train a job's plan as a stage would: `python stage.py WORLD RUN STEPS PROCESSES LAUNCHER [PARENT]`, for tests that kill it."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from conftest import World, profile, small_recipe

from yulan.errors import YulanError, render
from yulan.train.phase import train_phase


def main() -> None:
    folder, run, steps, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    recipe, machine = small_recipe(), replace(profile(processes), launcher=sys.argv[5])
    world = World(folder=folder, recipe=recipe, parent=folder / "init" / "step-000000")
    plan = world.plan(steps, profile=machine)
    if len(sys.argv) > 6:
        phases = {**recipe.phases, "phase-02": replace(recipe.phase("phase-02"), rebalance=True)}
        plan = replace(plan, recipe=replace(recipe, phases=phases), phase="phase-02", parent=Path(sys.argv[6]))
    try:
        train_phase(plan, run)
    except YulanError as error:
        print(render(error), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

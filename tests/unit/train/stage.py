"""Train a job's plan as a stage would: `python stage.py WORLD RUN STEPS PROCESSES`, for tests that kill it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from conftest import World, profile, small_recipe

from yulan.errors import YulanError, render
from yulan.train.phase import train_phase


def main() -> None:
    folder, run, steps, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    recipe = small_recipe()
    world = World(folder=folder, recipe=recipe, parent=folder / "init" / "step-000000")
    try:
        train_phase(world.plan(steps, profile=profile(processes)), run)
    except YulanError as error:
        print(render(error), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

"""A clone with data and a published run, and a road that trains many stretches in one warm process."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import yaml

from tests.unit.train.conftest import ROOT, World, profile, small_recipe
from yulan import files, manifest
from yulan.layout import Layout
from yulan.profile import Profile
from yulan.recipe import Recipe
from yulan.schema import plain
from yulan.train.checkpoint.scan import step_name, steps_in
from yulan.train.launch import local
from yulan.train.launch.job import CHECKPOINTS, Job
from yulan.train.log import METRICS, REPLAY
from yulan.train.phase import Plan, train_phase
from yulan.train.replay.run import Bench

PHASE = "phase-01"
EVERY = 8
"""Steps between the kept checkpoints, and of a stretch."""
BEGIN, END = 16, 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Shop:
    """A publisher and an auditor who share a clone."""

    layout: Layout
    recipe: Recipe

    def bench(self, machine: Profile) -> Bench:
        return Bench(recipe=self.recipe, profile=machine, layout=self.layout)

    @property
    def init(self) -> Path:
        return self.layout.parent("init").data / CHECKPOINTS / step_name(0)

    def train(self, into: Path, steps: int, machine: Profile) -> Path:
        """The run folder of the first steps of the phase."""
        mix = self.layout.stage("mix", PHASE)
        plan = Plan(
            recipe=self.recipe,
            phase=PHASE,
            profile=machine,
            mix=mix.data,
            mix_digest=manifest.read(mix.manifest).digest,
            shards=self.layout.stage("shards").data,
            parent=self.init,
            steps=steps,
        )
        train_phase(plan, into)
        return into


def audited_recipe(seed: int | None = None) -> Recipe:
    """The small recipe with checkpoints a stretch apart, all of them kept."""
    recipe = small_recipe()
    phase = recipe.phase(PHASE)
    phase = replace(phase, checkpoints=replace(phase.checkpoints, every=EVERY, keep=6))
    return replace(recipe, seed=seed or recipe.seed, phases={**recipe.phases, PHASE: phase})


def open_shop(root: Path, recipe: Recipe) -> Shop:
    return Shop(layout=Layout(root=root, recipe=recipe.name), recipe=recipe)


def make_shop(root: Path, world: World, recipe: Recipe) -> Shop:
    """Lay out recipe, data and start weights as a clone has them; `world` holds the data."""
    from yulan.train.checkpoint.initial import write_initial

    shop = open_shop(root, recipe)
    files.link_tree(ROOT / "recipes" / "nano", root / "recipes" / "nano")
    files.write_text(shop.layout.recipe_folder / "recipe.yaml", yaml.safe_dump(plain(recipe), allow_unicode=True))
    for name in ("params.yaml", "dvc.yaml"):
        files.link(ROOT / name, root / name)
    for place, part in ((shop.layout.stage("shards"), "shards"), (shop.layout.stage("mix", PHASE), "mix")):
        files.link_tree(world.folder / part, place.data)
        manifest.seal(place, shop.layout, stage=part, inputs={}, keys={}, summary={})
    write_initial(shop.init.parent, recipe)
    return shop


def copy_until(run: Path, into: Path, step: int) -> Path:
    """A second run folder that stands at a checkpoint of the first; training goes on from there."""
    for each in steps_in(run / CHECKPOINTS):
        if each <= step:
            files.link_tree(run / CHECKPOINTS / step_name(each), into / CHECKPOINTS / step_name(each))
    for name in (METRICS, REPLAY):
        files.write_rows(into / name, [row for row in files.complete_rows(run / name) if row["step"] <= step])
    return into


@contextlib.contextmanager
def in_process() -> Iterator[None]:
    """`train_phase` trains in this process, as its only rank: the loop, engine and logs are those of a launched run."""
    from yulan.train.loop import train

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    own = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}

    def launch(job: Job, lock: int, look: Callable[[], None]) -> None:
        train(job)

    with patch.dict(os.environ, own | {"DS_ACCELERATOR": "cpu"}), patch.object(local, "launch", launch):
        yield
    # The engine keeps DeepSpeed from importing MLflow; later tests of this process may want to.
    if sys.modules.get("mlflow", local) is None:
        del sys.modules["mlflow"]


def alone(threads: int = 1) -> Profile:
    return replace(profile(1), threads=threads)

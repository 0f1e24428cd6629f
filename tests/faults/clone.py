"""A clone with the data of one phase, trained by the stage that `dvc repro` runs."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from pipelines import stage as stages
from pipelines import train
from tests.faults import warm
from tests.faults.ground import House, Stage, nothing
from tests.faults.rows import require
from tests.unit.train.audit_kit import PHASE, Shop, audited_recipe, make_shop
from yulan import files, manifest
from yulan.schema import load_yaml
from yulan.train.log import METRICS

STEPS = 48


class Clone:
    """One for a trial."""

    def __init__(self, house: House, root: Path, processes: int) -> None:
        self.house, self.root = house, root
        self.shop: Shop = make_shop(root, house.world, audited_recipe())
        layout = self.shop.layout
        manifest.seal(layout.stage("init"), layout, stage="init", inputs={}, keys={}, summary={})
        params = load_yaml(root / "params.yaml")
        files.remove(root / "params.yaml")
        files.write_json(root / "params.yaml", params | {"profile": f"cpu-{processes}"})

    def start(self, in_rank: Callable[[int], None] = nothing, in_stage: Callable[[], None] = lambda: None) -> Stage:
        """The stage `train@phase-01`, forked."""

        def work() -> None:
            os.chdir(self.root)
            warm.stand_in(in_rank)
            in_stage()
            sys.argv = ["pipelines.train", PHASE]
            stages.run("train", train.work)

        said = self.root.with_name(f"said-{len(list(self.root.parent.glob('said-*')))}")
        return Stage(pid=warm.fork(work, said), said_in=said, run=self.root)

    def train(self, in_rank: Callable[[int], None] = nothing, in_stage: Callable[[], None] = lambda: None) -> tuple[int, str]:
        return self.start(in_rank, in_stage).wait(look=False)

    @property
    def run(self) -> Path | None:
        """The run folder, once there is one."""
        return next(self.root.glob("runs/*/*/*/"), None)

    @property
    def steps(self) -> int:
        return len(files.complete_rows(self.run / METRICS)) if self.run else 0

    @property
    def made(self) -> str:
        """Digest of the artifact."""
        return manifest.read(self.shop.layout.stage("train", PHASE).manifest).digest

    def require_end(self, processes: int) -> None:
        """The artifact is that of a clone that nobody disturbed, and whole."""
        manifest.require_whole(self.shop.layout.stage("train", PHASE))
        require(self.made == undisturbed(self.house, processes), "the artifact is not the undisturbed clone's")


_ends: dict[tuple[Path, int], str] = {}


def undisturbed(house: House, processes: int) -> str:
    """Digest of the artifact of a clone that nobody disturbed."""
    key = (house.root, processes)
    if key not in _ends:
        clone = Clone(house, house.root / f"clone-{processes}", processes)
        code, said = clone.train()
        require(code == 0, f"ended with {code}:", said)
        _ends[key] = clone.made
    return _ends[key]

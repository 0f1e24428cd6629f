"""What trials share: a small world, runs that nobody disturbed, and what is looked at after each disturbance."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.faults import warm
from tests.faults.rows import require
from tests.unit.train.conftest import World, build_world, profile, small_recipe
from tests.unit.train.disturb import descendants, tree
from yulan import files
from yulan.train import run as run_module
from yulan.train.checkpoint.scan import differences, newest, step_name, steps_in
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.phase import LOCK, Outcome, Plan, link_outcome, train_phase

STEPS = 12
"""Of eight windows; a checkpoint each second one, two of them stay."""
LIMIT = 45.0
"""Seconds after which a run counts as hung."""


def nothing(number: int) -> None:
    """Of a rank: no fault."""


@dataclass
class Stage:
    """A forked stage."""

    pid: int
    said_in: Path
    run: Path

    def wait(self, limit: float = LIMIT, *, look: bool = True) -> tuple[int, str]:
        """Exit code and what was said; no rank may live on."""
        code = warm.ended(self.pid, limit)
        if code is None:
            for pid in (self.pid, *descendants(self.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            warm.ended(self.pid, 5)
        require(code is not None, f"the run still works after {limit} s")
        if look:
            free(self.run)
        return code or 0, self.said_in.read_text(errors="replace")


def free(run: Path) -> None:
    """Within two seconds nobody holds the run folder's lock, which every rank inherits."""
    deadline = time.monotonic() + 2
    while True:
        try:
            os.close(files.lock(run / LOCK))
            return
        except files.StateError:
            require(time.monotonic() < deadline, "a process of the run lives on")
            time.sleep(0.01)


class House:
    """One for all rows."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._done: dict[Any, Path] = {}
        self.seconds: dict[tuple[int, int], float] = {}
        """Of undisturbed runs."""

    @cached_property
    def world(self) -> World:
        return build_world(self.root / "world", small_recipe())

    def plan(self, processes: int, steps: int = STEPS, **changed: Any) -> Plan:
        return self.world.plan(steps, **({"profile": profile(processes)} | changed))

    def start(
        self,
        plan: Plan,
        run: Path,
        in_rank: Callable[[int], None] = nothing,
        in_stage: Callable[[], None] = lambda: None,
        after: Callable[[Outcome], None] = lambda outcome: None,
        said: Path | None = None,
    ) -> Stage:
        """Fork a stage that trains; `in_rank` brings a fault into each rank."""
        run.mkdir(parents=True, exist_ok=True)
        said = said or run.with_name(f"{run.name}-said-{time.monotonic_ns()}")

        def work() -> None:
            warm.stand_in(in_rank)
            in_stage()
            after(train_phase(plan, run))

        return Stage(pid=warm.fork(work, said), said_in=said, run=run)

    def train(self, plan: Plan, run: Path, in_rank: Callable[[int], None] = nothing, **more: Any) -> tuple[int, str]:
        """Exit code and what was said."""
        return self.start(plan, run, in_rank, **more).wait()

    def go(self, plan: Plan, run: Path, into: Path | None = None, in_rank: Callable[[int], None] = nothing) -> str:
        """Train to the end, link what stays into `into`; returns what was said."""
        after = (lambda outcome: link_outcome(outcome, into)) if into else (lambda outcome: None)
        code, said = self.train(plan, run, in_rank, after=after)
        require(code == 0, f"the rerun ended with {code}:", said)
        return said

    def undisturbed(self, processes: int, steps: int = STEPS) -> Path:
        """`data`, what a run that nobody touched links, and `all`, every checkpoint that it wrote."""
        key = (processes, steps)
        if key not in self._done:
            folder = self.root / f"undisturbed-{len(self._done)}"

            def keep(number: int) -> None:
                retain = run_module.retain

                def kept(checkpoints: Path, step: int, **told: Any) -> None:
                    files.link_tree(checkpoints / step_name(step), folder / "all" / step_name(step))
                    retain(checkpoints, step, **told)

                run_module.retain = kept

            began = time.monotonic()
            self.go(self.plan(processes, steps), folder / "run", folder / "data", keep)
            self.seconds[processes, steps] = time.monotonic() - began
            self._done[key] = folder
        return self._done[key]

    def stopped(self, processes: int, step: int) -> Path:
        """A run folder that stands at a step before the last, to be copied."""
        key = ("stopped", processes, step)
        if key not in self._done:
            run = self.root / f"stopped-{len(self._done)}"
            self.go(self.plan(processes, step), run)
            self._done[key] = run
        return self._done[key]

    def last_good(self, run: Path, processes: int, steps: int = STEPS) -> int | None:
        """The newest checkpoint of a disturbed run; each one that counts is byte for byte that of the undisturbed run."""
        there = self.undisturbed(processes, steps) / "all"
        for step in steps_in(run / CHECKPOINTS):
            found = run / CHECKPOINTS / step_name(step)
            require(not differences(found), f"{found.name} counts as complete and is not")
            if (there / found.name).exists():
                require(tree(found) == tree(there / found.name), f"{found.name} is not as the undisturbed run wrote it")
        found, damaged = newest(run / CHECKPOINTS)
        require(not damaged, damaged)
        return int(found.name.removeprefix("step-")) if found else None

    def rerun(self, run: Path, processes: int, steps: int = STEPS) -> str:
        """The same command again: it ends as if nobody had disturbed it, and nothing is left lying about."""
        into = run.with_name(f"{run.name}-data-{time.monotonic_ns()}")
        said = self.go(self.plan(processes, steps), run, into)
        require(tree(into) == tree(self.undisturbed(processes, steps) / "data"), "the end differs from the undisturbed run's")
        self.tidy(run, steps)
        return said

    def tidy(self, run: Path, steps: int = STEPS) -> None:
        """No leftover of a save, and two checkpoints."""
        left = [path.relative_to(run).as_posix() for path in run.rglob(f"*{files.PARTIAL}")]
        require(not left, "left over:", left)
        names = sorted(path.name for path in (run / CHECKPOINTS).glob("step-*"))
        require(names == [step_name(steps - 2), step_name(steps)], "left over:", names)

"""What every stage does first and last: open inputs, seal the manifest, write the record."""

import atexit
import datetime
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from yulan import files, manifest
from yulan.errors import StateError, told
from yulan.layout import Layout, Place, contain, find_root
from yulan.manifest import Determinism, Manifest, Record
from yulan.params import Params, read_params
from yulan.profile import Profile, load_profile
from yulan.recipe import Book, Recipe, load_recipe
from yulan.schema import plain
from yulan.train.launch.guard import die_with_parent

TEXT = frozenset({"raw", "clean", "synthesize", "dedup", "scored", "decontaminated", "tokenizer"})
"""Stages that work on text. Where a recipe's sources are token files only, they have nothing to do and seal an empty folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage at work. Nothing in it outlives the process."""

    name: str
    phase: str | None
    book: Book
    layout: Layout
    profile: Profile
    params: Params
    started: float
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        return self.book.recipe

    @property
    def idle(self) -> bool:
        """Whether it works on text, and there is none; a published tokenizer needs none."""
        adopts = self.name == "tokenizer" and self.recipe.data.tokenizer.published is not None
        return self.name in TEXT and self.book.sources.textless and not adopts

    @property
    def place(self) -> Place:
        return self.layout.stage(self.name, self.phase)

    def open(self, name: str, phase: str | None = None, *, only: Iterable[str] | None = None) -> tuple[Place, Manifest]:
        """An upstream artifact, verified byte for byte; its digest becomes an input of this one.

        `only`: the files that are read and so verified, where the others are large.

        Raises: StateError: it is not there; IntegrityError: a byte differs.
        """
        place = self.layout.stage(name, phase)
        target = f"{name}@{phase}" if phase else name
        if not place.manifest.exists() or not place.data.exists():
            raise StateError(
                "is not there",
                where=place.folder.relative_to(self.layout.root),
                cure=f"Fetch it with: dvc pull {target}, or build it with: dvc repro {target}",
            )
        found = manifest.require_whole(place) if only is None else manifest.require_parts(place, only)
        self.inputs[target] = found.digest
        return place, found

    def seal(
        self,
        *,
        keys: Iterable[str] = (),
        summary: Mapping[str, Any],
        determinism: Determinism | None = None,
        runs: Mapping[str, str] | None = None,
        warnings: Iterable[str] = (),
    ) -> Manifest:
        """List the data folder, write the manifest last, then the record under the content's digest."""
        made = manifest.seal(
            self.place,
            self.layout,
            stage=self.name,
            phase=self.phase,
            inputs=self.inputs,
            keys=self.recipe.keys(*keys),
            summary=summary,
            determinism=determinism,
        )
        record = Record(
            format=1,
            content=made.digest,
            commit=commit_of(self.layout.root),
            started=datetime.datetime.fromtimestamp(self.started, datetime.UTC).isoformat(timespec="seconds"),
            seconds=round(time.time() - self.started, 1),
            host=host_class(),
            runs=dict(runs or {}),
            warnings=tuple(warnings),
        )
        files.write_json(self.layout.record(made.digest), plain(record))
        return made


def commit_of(root: Path) -> str | None:
    """The clone's HEAD, or None where there is no git."""
    done = subprocess.run(["git", "rev-parse", "--verify", "-q", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def host_class() -> str:
    """`Linux x86_64, 2 cores`: never the machine's name."""
    machine = os.uname()
    return f"{machine.sysname} {machine.machine}, {len(os.sched_getaffinity(0))} cores"


def run(name: str, work: Callable[[Stage], None]) -> None:
    """Entry of a stage's module: `python -m pipelines.<stage> [PHASE]`."""
    die_with_parent()
    code: Any = 0
    try:
        with told():
            _run(name, work)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as ended:
        code = ended.code
    leave(code)


def leave(code: int) -> NoReturn:
    """End without taking the interpreter apart: Daft's threads, which an error leaves at work, crash in it, seen once in 40 ends.

    What was registered to run at exit runs.
    """
    atexit._run_exitfuncs()
    with suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _run(name: str, work: Callable[[Stage], None]) -> None:
    root = find_root()
    contain(root)
    params = read_params(root)
    stage = Stage(
        name=name,
        phase=sys.argv[1] if len(sys.argv) > 1 else None,
        book=load_recipe(root, params.recipe),
        layout=Layout(root=root, recipe=params.recipe),
        profile=load_profile(params.profile),
        params=params,
        started=time.time(),
    )
    if stage.phase is not None:
        stage.recipe.phase(stage.phase)
    files.make_folder(stage.place.data)
    if stage.idle:
        stage.seal(summary={"text": "none: every source is token files"})
    else:
        work(stage)

"""Damaged checkpoints, pointers to nowhere, and checkpoints that were carried about."""

import os
import random
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults.ground import STEPS
from tests.faults.rows import Trial, require, row
from tests.unit.train.disturb import flip, tree
from yulan.train.checkpoint.scan import newest, require_whole, step_name
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import TIMING

AT = 8
"""Step at which the run stands; the checkpoint before is step 6."""
TENSORS = tuple(f"{kind}-00001-of-00001.safetensors" for kind in ("weights", "exp_avg", "exp_avg_sq"))
FILES = (*TENSORS, "state.json", "tensors.json", "manifest.json")
Harm = Callable[[Path, random.Random], None]


def halve(path: Path, draw: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path, draw: random.Random) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path, draw: random.Random) -> None:
    flip(path, draw.randrange(path.stat().st_size), draw.randrange(8))


def flip_the_random_state(path: Path, draw: random.Random) -> None:
    text = path.read_bytes()
    begin = text.index(b'"rng": "') + 8
    flip(path, draw.randrange(begin, text.index(b'"', begin)), 0)


def lose(path: Path, draw: random.Random) -> None:
    path.unlink()


def mix_steps(path: Path, draw: random.Random) -> None:
    shutil.copy(path.parent.with_name(step_name(AT - 2)) / path.name, path)


def add(path: Path, draw: random.Random) -> None:
    path.write_bytes(b"x")


HARMS: list[tuple[str, str, Harm]] = [
    (what, name, harm)
    for name in FILES
    for what, harm in (
        ("truncated", halve),
        ("empty", empty),
        ("bit-flipped", flip_a_bit),
        ("missing", lose),
        ("of another step", mix_steps),
    )
]
HARMS += [("bit-flipped", "state.json", flip_the_random_state), ("extra", "weights-00002-of-00002.safetensors", add)]


def copy_of(trial: Trial, processes: int) -> Path:
    """A run folder that stands at step 8."""
    run = trial.folder / "run"
    shutil.copytree(trial.house.stopped(processes, AT), run)
    return run


@row(
    "shard-harm",
    fault="a truncated, empty, bit-flipped, missing, extra or mixed-step file in the newest checkpoint",
    how="each harm to each file (bits drawn; one in the random state), the stopped run started again on one or two processes",
    outcome="the file is named, the checkpoint before is used and stays as it was, the end is byte-equal",
    trials=3 * len(HARMS) // 2,
    sample=2,
)
def shard_harm(trial: Trial) -> None:
    what, name, harm = HARMS[trial.number * 7 % len(HARMS)]
    processes = 1 if trial.number < len(HARMS) else 2
    run = copy_of(trial, processes)
    before = tree(run / CHECKPOINTS / step_name(AT - 2))
    harm(run / CHECKPOINTS / step_name(AT) / name, random.Random(trial.seed))
    found, rows = newest(run / CHECKPOINTS)
    require(found == run / CHECKPOINTS / step_name(AT - 2), f"{what} {name}: {found} is used")
    require(tree(found) == before, "the checkpoint before changed")
    if name != "manifest.json":
        require(any(name in each for each in rows), f"{what} {name} is not named:", rows)
    said = trial.house.rerun(run, processes)
    require(f"damaged checkpoint passed over: {step_name(AT)}: " in said, said)
    trial.seen[what] += 1


@row(
    "all-harmed",
    fault="every checkpoint of a run is damaged",
    how="each checkpoint loses a drawn file, or a bit of it",
    outcome="exit code 5, the files named, nothing begins again from step 0",
    trials=8,
    sample=0,
)
def all_harmed(trial: Trial) -> None:
    draw, processes = random.Random(trial.seed), trial.pick(1, 2)
    run = copy_of(trial, processes)
    for step in (AT - 2, AT):
        draw.choice((lose, flip_a_bit))(run / CHECKPOINTS / step_name(step) / draw.choice(FILES), draw)
    before = tree(run / CHECKPOINTS)
    code, said = trial.house.train(trial.house.plan(processes), run)
    require(code == 5, f"ended with {code}:", said)
    require("no checkpoint is whole" in said, said)
    require(all(step_name(step) in said for step in (AT - 2, AT)), said)
    require(tree(run / CHECKPOINTS) == before, "the folder changed")


def write_garbage(path: Path) -> None:
    """1 GB, mostly a hole."""
    path.write_bytes(os.urandom(4096))
    os.truncate(path, 1 << 30)


def point(text: str, path: Path) -> None:
    path.write_text(text)


POINTERS: list[tuple[str, Callable[[Path], None]]] = [
    ("empty", partial(point, "")),
    ("dangling", partial(point, "global_step99")),
    ("outside", partial(point, "../../../init/step-000000")),
    ("1 GB of garbage", write_garbage),
    ("a link outside", lambda path: path.symlink_to(path.parents[4])),
]


@row(
    "pointer",
    fault="a pointer file that is empty, dangling, outside the folder, or 1 GB of garbage",
    how="it is put as `latest` beside the checkpoints; 1 GB of garbage as a checkpoint's manifest too",
    outcome="nothing follows it: the newest whole checkpoint is used, never step 0; byte-equal end; no file of DeepSpeed's",
    trials=12,
)
def pointer(trial: Trial) -> None:
    cases = [*POINTERS, ("1 GB of manifest", None)]
    (what, plant), processes = cases[trial.number % len(cases)], 1 + trial.number // len(cases) % 2
    run = copy_of(trial, processes)
    if plant is None:
        write_garbage(run / CHECKPOINTS / step_name(AT) / "manifest.json")
    else:
        plant(run / CHECKPOINTS / "latest")
    began, rows = time.monotonic(), len((run / TIMING).read_bytes().splitlines())
    said = trial.house.rerun(run, processes)
    done = len((run / TIMING).read_bytes().splitlines()) - rows
    require(done == STEPS - AT + (2 if plant is None else 0), f"{done} steps were trained again")
    require(time.monotonic() - began < 60, "it took", time.monotonic() - began)
    require(("passed over" in said) == (plant is None), said)
    stray = [p.name for p in run.rglob("*") if p.suffix in {".pt", ".bin", ".py", ".pkl"}]
    require(not stray, "files of another kind:", stray)
    trial.seen[what] += 1


def carry(how: str, run: Path, into: Path) -> None:
    if how == "moved":
        os.rename(run, into)
    elif how == "copied":
        shutil.copytree(run, into)
    elif how == "packed":
        with tarfile.open(into.with_suffix(".tar"), "w") as packed:
            packed.add(run, "run")
        with tarfile.open(into.with_suffix(".tar")) as packed:
            packed.extractall(into.parent / "unpacked", filter="data")
        os.rename(into.parent / "unpacked" / "run", into)
    elif shutil.which("rsync"):
        subprocess.run(["rsync", "-a", f"{run}/", f"{into}/"], check=True)
    else:
        subprocess.run(["cp", "-a", str(run), str(into)], check=True)


@row(
    "carried",
    fault="a run folder is copied, moved, packed and unpacked, or rsynced (`cp -a` where there is no rsync)",
    how="the stopped run, on one and two processes; started again in the new place",
    outcome="every checkpoint is whole there, and the run goes on to a byte-equal end",
    trials=8,
    sample=0,
)
def carried(trial: Trial) -> None:
    how, processes = trial.pick("copied", "moved", "packed", "rsynced"), 1 + trial.number // 4 % 2
    run, into = copy_of(trial, processes), trial.folder / "else where" / "läuft"
    into.parent.mkdir()
    before = tree(run / CHECKPOINTS)
    carry(how, run, into)
    require(tree(into / CHECKPOINTS) == before, "bytes changed on the way")
    for step in (AT - 2, AT):
        require_whole(into / CHECKPOINTS / step_name(step))
    said = trial.house.rerun(into, processes)
    require("passed over" not in said, said)
    trial.seen[how] += 1

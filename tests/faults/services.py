"""What stands around a trainer and fails: the data under it, MLflow's store, a hub, and `dvc repro` itself."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tests.faults import warm
from tests.faults.clone import STEPS, Clone
from tests.faults.inject import at_step
from tests.faults.rows import Trial, require, row
from tests.faults.writer import killing
from tests.unit.release.conftest import make_layout
from tests.unit.release.faulty import Answer, Forward, faulty, on, once, says
from tests.unit.release.kit import FINAL, NAME, contents, go
from tests.unit.train.audit_kit import PHASE
from tests.unit.train.conftest import ROOT
from tests.unit.train.disturb import flip
from yulan import files
from yulan.errors import HubError
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.hub import Hub
from yulan.release.names import parse, repo
from yulan.release.pull import pull
from yulan.train import track


@row(
    "other-data",
    fault="a data shard, a pack or the parent changed under a resume",
    how="a rank of the stage `train@phase-01` is killed, one bit of one file is turned, the stage runs again",
    outcome="refused with exit code 5, the file named; with the bit turned back it resumes to a byte-equal artifact",
    trials=3,
    sample=0,
)
def other_data(trial: Trial) -> None:
    processes = trial.pick(1, 2)
    clone = Clone(trial.house, trial.folder / "clone", processes)
    code, said = clone.train(killing(partial(at_step, 20)))
    require(code == 9, f"ended with {code}:", said)
    layout, name = clone.shop.layout, trial.pick("tokens-00000.bin", "pieces.bin", "weights-00001-of-00001.safetensors")
    place = trial.pick(layout.stage("shards"), layout.stage("mix", PHASE), layout.stage("init"))
    path = next(place.data.rglob(name))
    # Other clones have the same file under another name.
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    flip(path, 1000)
    code, said = clone.train()
    require(code == 5, f"ended with {code}:", said)
    require("does not match its manifest" in said and name in said, said)
    flip(path, 1000)
    code, said = clone.train()
    require(code == 0, f"ended with {code}:", said)
    clone.require_end(processes)
    trial.seen[name] += 1


@row(
    "mlflow",
    fault="MLflow's store is down, or locked",
    how="a folder stands in its place, the file is no database, or another process holds it; whole stages, one and two processes",
    outcome="exit code 0, a warning with the cure, a byte-equal artifact; `yulan track import` sends every row later",
    trials=3,
    sample=0,
)
def mlflow(trial: Trial) -> None:
    what, processes = trial.pick("locked", "no database", "a folder in its place"), trial.pick(1, 2)
    clone = Clone(trial.house, trial.folder / "clone", processes)
    store = clone.shop.layout.tracking
    files.make_folder(store.parent)
    holder = None
    if what == "locked":
        holder = sqlite3.connect(store, isolation_level=None)
        holder.execute("CREATE TABLE held (x)")
        holder.execute("BEGIN EXCLUSIVE")
    elif what == "no database":
        files.write_bytes(store, b"no database" * 1000)
    else:
        files.make_folder(store)

    def hurry() -> None:
        let_mlflow_in()
        track.PATIENCE = 8.0

    code, said = clone.train(in_stage=hurry)
    require(code == 0, f"{what}: ended with {code}:", said)
    clone.require_end(processes)
    record = "".join(path.read_text() for path in (clone.shop.layout.artifacts / "records").iterdir())
    require("yulan track import" in record, "the record does not say that MLflow was left out:", record)
    if holder is not None:
        holder.close()
    told = trial.folder / "rows"
    code = warm.ended(warm.fork(partial(_rebuild, clone, told), trial.folder / "rebuilt"), 120)
    require(code == 0, (trial.folder / "rebuilt").read_text())
    require(told.read_text() == str(STEPS), f"{told.read_text()} of {STEPS} rows came later")
    trial.seen[what] += 1


def let_mlflow_in() -> None:
    """Ranks keep it out, and so does the process that all of this is forked from."""
    if sys.modules.get("mlflow", sys) is None:
        del sys.modules["mlflow"]


def _rebuild(clone: Clone, told: Path) -> None:
    let_mlflow_in()
    layout, recipe = clone.shop.layout, clone.shop.recipe
    track.rebuild(layout, recipe)
    store = track.Store(layout.tracking, recipe.name)
    (attempt,) = store.find({"yulan.kind": "attempt"})
    told.write_text(str(len(store.client.get_metric_history(attempt.info.run_id, "loss"))))


def halved(forward: Forward) -> Answer:
    status, headers, data = forward()
    return status, headers, data[: len(data) // 2]


COMMIT = f"/api/models/{NAME}/commit/"
FAULTS = [
    ("429 to an upload", on("PUT", "/lfs/", says(429))),
    ("500 to an upload", on("PUT", "/lfs/", says(500))),
    ("429 to a commit", on("POST", f"{COMMIT}main", says(429))),
    ("500 to a commit", on("POST", f"{COMMIT}main", says(500))),
    ("500 to the states' commit", on("POST", f"/api/models/{NAME}-states/commit/", says(500))),
    ("429 to a tag", on("POST", "/tag/", says(429))),
    ("download cut at 50 %", on("GET", "model.safetensors", halved)),
    ("500 to a download", on("GET", "model.safetensors", says(500))),
]


@row(
    "hub",
    fault="the hub answers 429 or 500, or cuts a file at 50 %",
    how="a proxy before the rehearsal hub does so once: uploads, commits, tags, downloads",
    outcome="exit code 7 in words, or the client's own retry; revisions are old or new, never partial; a rerun sends what is "
    "missing and ends whole",
    trials=8,
)
def hub(trial: Trial) -> None:
    what, fault = FAULTS[(trial.number * 3 + 6) % len(FAULTS)]
    layout = make_layout(trial.folder / "clone")
    model, refused = layout.stage("bundle").data / "model", 0
    with running_hub(trial.folder / "hub") as good, faulty(good) as state:
        road = Served(url=state.url, token=good.token, read_token=good.read_token, pid=good.pid)
        state.faults.append(once(fault))
        for _ in range(2):
            try:
                go(layout, road)
                break
            except HubError:
                refused += 1
                whole_revisions(good, model)
        whole_revisions(good, model, published=True)
        sent = [line.split("/")[3] for line in state.seen if line.startswith("PUT")]
        require(len(sent) <= len(set(sent)) + 1, "more than the refused upload was sent again")
        for _ in range(2):
            try:
                pull(Hub(road.url, None), parse(f"hf://{NAME}@final"), trial.folder / "pulled", None, lambda _: None)
                break
            except HubError:
                refused += 1
                require(not (trial.folder / "pulled").exists(), "a partial folder has the name of a whole one")
        require(contents(trial.folder / "pulled") == contents(model / "main"), "what was pulled is not what was published")
    trial.seen[f"{what}: {'refused, then done' if refused else 'retried by the client'}"] += 1


def whole_revisions(served: Served, model: Path, *, published: bool = False) -> None:
    """Each branch of the model is empty as it was made, or whole; no tag names an unpublished one."""
    client, place = Hub(served.url, served.token), repo(NAME, "model")
    try:
        branches, tags = client.refs(place)
    except HubError:
        require(not published, "the model is not there")
        return
    for name, commit in branches.items():
        told = {path for path in client.tree(place, commit) if path != ".gitattributes"}
        require(told in (set(), set(contents(model / name))), f"{name} is partial:", sorted(told))
        require(told or not published, f"{name} is empty")
    require(bool(tags) == published or not tags, "tags without a release:", tags)
    require(not published or FINAL in branches, "no final branch")


@row(
    "dvc-killed",
    fault="`dvc repro` is killed, and waited for, in a training stage",
    how="SIGKILL of dvc after some of 48 steps under torchrun; then the same command again; two processes and one in turn",
    outcome="within 2 s no local rank lives; the rerun starts at once, resumes, and ends with a byte-equal artifact",
    trials=2,
    sample=0,
)
def dvc_killed(trial: Trial) -> None:
    processes = trial.pick(2, 1)
    clone = Clone(trial.house, trial.folder / "clone", processes)
    (clone.root / ".venv").symlink_to(sys.prefix)
    env = os.environ | {"PYTHONPATH": str(ROOT), "GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(trial.folder)}
    for words in (["git", "init", "-q"], [".venv/bin/dvc", "init", "-q"]):
        subprocess.run(words, cwd=clone.root, env=env, check=True, capture_output=True)
    command = [".venv/bin/dvc", "repro", "-f", "-s", f"train@{PHASE}"]
    with (trial.folder / "said").open("wb") as out:
        first = subprocess.Popen(command, cwd=clone.root, env=env, stdout=out, stderr=out)
        deadline = time.monotonic() + 120
        while clone.steps < 10:
            require(first.poll() is None and time.monotonic() < deadline, (trial.folder / "said").read_text())
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(2)
        living = [pid for pid in Path("/proc").glob("[0-9]*") if _works_in(pid, clone.root)]
        require(not living, "processes live on:", living)
        seen = clone.steps
        require(10 <= seen < STEPS, f"{seen} steps were done when it was killed")
        done = subprocess.run(command, cwd=clone.root, env=env, stdout=out, stderr=out, check=False)
    require(done.returncode == 0, (trial.folder / "said").read_text())
    clone.require_end(processes)
    require(clone.run is not None, "no run folder")
    again = len((clone.run / "timing.jsonl").read_bytes().splitlines()) if clone.run else 0
    require(again < STEPS + seen, "it began again from step 0")
    trial.seen[f"{processes} process{'es' if processes > 1 else ''}"] += 1
    shutil.rmtree(clone.root / ".dvc", ignore_errors=True)


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return os.readlink(process / "cwd") == str(folder)
    except OSError:
        return False

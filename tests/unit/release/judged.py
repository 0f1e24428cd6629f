"""A clone whose last three stages have run on what the others left, and its whole state under DVC and on a hub."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipelines import bundle, export, gate
from pipelines.stage import Stage
from tests.pipeline.clone import HERE
from tests.unit.release.small import chain, make_inputs
from yulan import files, manifest
from yulan.layout import Layout
from yulan.params import params_for, write_params
from yulan.profile import load_profile
from yulan.recipe import load_recipe
from yulan.rehearsal import Hub as Served
from yulan.release.hub import Hub
from yulan.release.publish import How, publish
from yulan.release.ready import require_judged


def stage(layout: Layout, name: str) -> Stage:
    book = load_recipe(layout.root, "tiny")
    made = Stage(
        name=name,
        phase=None,
        book=book,
        layout=layout,
        profile=load_profile("cpu-1"),
        params=params_for(book.recipe, "cpu-1"),
        started=time.time(),
    )
    files.remove(made.place.data)
    files.make_folder(made.place.data)
    return made


def make_judged(root: Path) -> Layout:
    inputs = make_inputs(root)
    layout, work = Layout(root=root, recipe="tiny"), root / "work"
    digests: dict[str, str] = {}
    for target, origins in chain(inputs.book.recipe).items():
        name, _, phase = target.partition("@")
        if name == "export":
            continue
        place = layout.stage(name, phase or None)
        made = work / ("text" if name == "decontaminated" else name) / phase
        files.link_tree(made, place.data) if made.is_dir() else files.write_text(place.data / "made.txt", target)
        told = {origin: digests[origin] for origin in origins}
        digests[target] = manifest.seal(place, layout, stage=name, phase=phase or None, inputs=told, keys={}, summary={}).digest
    files.remove(work)
    for name, module in {"export": export, "bundle": bundle, "gate": gate}.items():
        module.work(stage(layout, name))
    return layout


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The clone that a release was published from."""

    layout: Layout
    served: Served

    @property
    def root(self) -> Path:
        return self.layout.root

    def clone(self, folder: Path) -> Path:
        """Of git alone; its DVC cache is empty."""
        subprocess.run(["git", "clone", "-q", str(self.root), str(folder)], check=True)
        return folder


def run(root: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    author = {f"GIT_{who}_{what}": "t@example.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = os.environ | author | {"PYTHONPATH": str(HERE)}
    done = subprocess.run(words, cwd=root, env=env, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return done


def dvc(root: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(root, sys.executable, "-m", "dvc", *words, check=check)


def make_origin(root: Path, served: Served, key: Path | None = None) -> Origin:
    """Judged, committed to git and DVC, published."""
    layout = make_judged(root)
    recipe = load_recipe(root, "tiny").recipe
    write_params(root, params_for(recipe, "cpu-1"))
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": dict(_graph(list(recipe.phases)))}, sort_keys=False))
    (root / ".gitignore").write_text("data/\n.cache/\n/runs/\n/.mlflow/\n")
    run(root, "git", "init", "-q", "-b", "main")
    dvc(root, "init", "-q")
    shutil.copy(HERE / ".dvc" / "config", root / ".dvc" / "config")
    dvc(root, "commit", "-q", "-f")
    run(root, "git", "add", "-A")
    run(root, "git", "commit", "-q", "-m", "Build")
    commit = run(root, "git", "rev-parse", "HEAD").stdout.strip()
    publish(require_judged(layout), layout, Hub(served.url, served.token), commit, lambda _: None, How(key=key, every=True))
    return Origin(layout=layout, served=served)


def _graph(phases: list[str]) -> list[tuple[str, object]]:
    """Stages that copy what they were given: DVC is to see a graph, not a training."""
    text = {name: _stage(name, "", []) for name in ("scored", "decontaminated", "tokenizer", "synthesize", "figures")}
    text["shards"] = _stage("shards", "", ["decontaminated"])
    by = {"mix": ["shards"], "train": ["shards", "mix/${item}"], "evaluate": ["train/${item}"]}
    graph = text | {name: {"foreach": phases, "do": _stage(name, "/${item}", deps)} for name, deps in by.items()}
    made = [f"train/{phase}" for phase in phases]
    graph |= {"index": _stage("index", "", [f"mix/{p}" for p in phases]), "export": _stage("export", "", made)}
    graph |= {"bundle": _stage("bundle", "", ["export", "shards", *made]), "gate": _stage("gate", "", ["bundle"])}
    return list(graph.items())


def _stage(name: str, phase: str, deps: list[str]) -> dict[str, object]:
    home = f"artifacts/tiny/{name}{phase}"
    needs = [f"artifacts/tiny/{dep}/{part}" for dep in deps for part in ("data", "manifest.json")]
    told: dict[str, object] = {"cmd": f"false {home}", "outs": [f"{home}/data"]}
    return told | {"metrics": [{f"{home}/manifest.json": {"cache": False}}]} | ({"deps": needs} if needs else {})

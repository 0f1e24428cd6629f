"""A small release with real parts in their real places."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from yulan import files, manifest
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.release.hub import Hub
from yulan.release.publish import How, publish
from yulan.release.ready import Ready
from yulan.release.release import Half, Release, read_release, write_release
from yulan.release.seal import seal
from yulan.release.verdict import Ruling, Verdict, write_verdict

NAME = "yulan-nano/YuLan-Nano"
FINAL, STABLE = "phase-02-step-000003", "phase-01-step-000002"


def fill(folder: Path, contents: dict[str, bytes], **inputs: str) -> str:
    for name, data in contents.items():
        files.write_bytes(folder / name, data)
    files.write_text(folder / "README.md", f"---\nlicense: mit\n---\n# {folder.name}\n")
    named = f"tiny/{folder.parent.name}/{folder.name}"
    return seal(folder, name=named, inputs={k.replace("__", "/"): v for k, v in inputs.items()}, keys={}, summary={}).digest


def make_bundle(folder: Path, seed: bytes = b"\0") -> Release:
    """Three repositories; binary files large enough for LFS, since they have NUL bytes."""
    weights = {rev: seed + b"\0\1" * 40_000 + rev.encode() for rev in (STABLE, FINAL)}
    data = {"main": fill(folder / "data" / "main", {"mixes/phase-01.yaml": b"total: 1\n", "packs/pieces.bin": seed * 2000})}
    states = {rev: fill(folder / "states" / rev, {"checkpoint/weights.bin": weights[rev] * 2}) for rev in (STABLE, FINAL)}
    states["main"] = fill(folder / "states" / "main", {"recipes/tiny/recipe.yaml": b"name: tiny\n"})
    model = {}
    for rev in (STABLE, FINAL):
        pins = {"data/main": data["main"], f"states/{rev}": states[rev]}
        model[rev] = fill(folder / "model" / rev, {"model.safetensors": weights[rev], "config.json": b"{}\n"}, **pins)
    shutil.copytree(folder / "model" / FINAL, folder / "model" / "main")
    model["main"] = model[FINAL]
    release = Release(
        format=1,
        name=NAME,
        recipe="tiny",
        data=Half(revisions=data, tags={"final": "main"}),
        states=Half(revisions=states, tags={"final": FINAL, "before-annealing": STABLE}),
        model=Half(revisions=model, tags={"final": "main", "before-annealing": STABLE}),
    )
    write_release(folder, release)
    return release


def judge(layout: Layout, verdict: str = "pass", bundle: str | None = None) -> Ready:
    """Seal the bundle and write a verdict on it, as the two stages do."""
    place = layout.stage("bundle")
    made = manifest.seal(place, layout, stage="bundle", inputs={}, keys={}, summary={})
    rule = Ruling(
        id="files-listed",
        sentence="Every file is listed once.",
        verdict=verdict,
        evidence=("extra  x",) if verdict == "fail" else (),
    )
    gate = layout.stage("gate")
    ruled = Verdict(format=1, bundle=bundle or made.digest, verdict="fail" if verdict == "fail" else "pass", rules=(rule,))
    write_verdict(gate.data, ruled)
    manifest.seal(gate, layout, stage="gate", inputs={"bundle": made.digest}, keys={}, summary={})
    return Ready(bundle=place.data, manifest=made, release=read_release(place.data), verdict=ruled)


def start_git(root: Path) -> None:
    files.write_text(root / "dvc.lock", "schema: '2.0'\n")
    files.write_text(root / "README.md", "a clone\n")
    for words in (["init", "-q"], ["add", "README.md", "dvc.lock"], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", *words], cwd=root, check=True)


def go(layout: Layout, served: Served, token: str | None = None, key: Path | None = None, **how: Any) -> list[str]:
    """Publish the bundle as it is, all of it, without waiting for a hub that is away; returns what was said."""
    said: list[str] = []
    told = How(key=key, **({"patience": 0.0, "every": True} | how))
    publish(judge(layout), layout, Hub(served.url, token or served.token), "0" * 40, said.append, told)
    return said


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

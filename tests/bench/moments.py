"""What moments in fewer bytes cost: `python -m tests.bench.moments [ARTIFACTS] [--into FOLDER]`.

From the end of nano's phase-01, phase-02's windows are trained on in 200 steps of 8: with the moments as they were, in
bf16, in 8 bits, zeroed, and zeroed with the learning rate warmed up again over 30 steps. The loss of each step is taken
before its update and on windows that no run has seen, the same in every run, so a gap is of the moments alone.
"""

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path

from yulan import files, manifest
from yulan.layout import MANIFEST, Layout, find_root
from yulan.model.shape import parameters
from yulan.profile import load_profile
from yulan.recipe import Recipe, load_recipe
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.scan import newest
from yulan.train.checkpoint.shrink import shrink
from yulan.train.checkpoint.state import Precision
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import CHECKPOINTS
from yulan.train.log import METRICS
from yulan.train.phase import Plan, train_phase

BATCH, WARMUP = 8, 30
KEPT: tuple[Precision, ...] = ("bf16", "fp8")
ROW = "{:24} {:>12} {:>10} {:>10} {:>10} {:>10}"


def starts(begin: Path, into: Path) -> dict[str, Path]:
    """The same checkpoint with its moments kept in each way."""
    made = {"fp32": begin}
    for precision in KEPT:
        made[precision] = into / precision
        if not made[precision].exists():
            shrink(begin, made[precision], precision)
    found = read_checkpoint(begin)
    for name, state in (("zeroed", found.state), ("zeroed, warmed up again", replace(found.state, global_step=0, tokens=0))):
        made[name] = into / name.replace(", ", "-").replace(" ", "-")
        if made[name].exists():
            continue
        bare = replace(state, adam_step=0, fresh_optimizer=True)
        write_checkpoint(
            made[name], bare, parameters(found.model), lambda each, _: (0, found.tensor(each).reshape(-1)), moments=None
        )
    return made


def losses(start: Path, layout: Layout, recipe: Recipe, into: Path) -> list[float]:
    phase = replace(recipe.phase("phase-02"), batch=BATCH)
    schedule = replace(recipe.schedule, warmup=WARMUP)
    recipe = replace(recipe, phases={"phase-01": recipe.phase("phase-01"), "phase-02": phase}, schedule=schedule)
    profile = replace(load_profile("cpu-1"), processes=1, threads=1)
    mix = layout.stage("mix", "phase-02")
    plan = Plan(
        recipe=recipe,
        phase="phase-02",
        profile=profile,
        mix=mix.data,
        mix_digest=manifest.read(mix.manifest).digest,
        shards=layout.stage("shards").data,
        parent=start,
        steps=phase.steps,
    )
    train_phase(plan, into)
    return [row["loss"] for row in files.complete_rows(into / METRICS)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("artifacts", nargs="?", type=Path, default=find_root() / "artifacts" / "nano")
    options.add_argument("--into", type=Path, default=find_root() / "runs" / "moments")
    asked = options.parse_args()
    recipe = load_recipe(find_root(), "nano").recipe
    layout = Layout(root=asked.artifacts.resolve().parents[1], recipe="nano")
    begin, _ = newest(layout.stage("train", "phase-01").data / CHECKPOINTS)
    if begin is None:
        raise SystemExit("phase-01 is not there: dvc pull train@phase-01, or make repro")
    told, sizes = {}, {}
    for name, start in starts(begin, asked.into / "starts").items():
        print(f"{name} ...", file=sys.stderr)
        told[name] = losses(start, layout, recipe, asked.into / "runs" / start.name / name.replace(" ", "-"))
        sizes[name] = manifest.read(start / MANIFEST).size
    print(ROW.format("moments", "bytes", "loss", "gap", "first 20", "last 50"))
    exact = told["fp32"]
    for name, loss in told.items():
        gap = [one - other for one, other in zip(loss, exact, strict=True)]
        means = [statistics.fmean(part) for part in (loss, gap, gap[:20], gap[-50:])]
        print(ROW.format(name, f"{sizes[name]:,}", f"{means[0]:.4f}", *(f"{mean:+.5f}" for mean in means[1:])))


if __name__ == "__main__":
    main()

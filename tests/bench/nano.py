"""Figures of a clone in which `make repro` has ended: `python -m tests.bench.nano`. Each is read or measured here and now."""

import statistics
import subprocess
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from yulan import files, manifest
from yulan.evaluate.runner import load_decoder
from yulan.layout import Layout, find_root
from yulan.params import read_params
from yulan.recipe import Recipe, load_recipe
from yulan.release.export import end_of
from yulan.schema import load_json


def speed(layout: Layout, recipe: Recipe) -> dict[str, str]:
    """Median tokens/s of each phase, its first ten steps left out."""
    found = {}
    for phase in recipe.phases:
        rows = [
            row for path in sorted(layout.runs(phase, "*").parent.glob("*/timing.jsonl")) for row in files.complete_rows(path)
        ]
        rates = [row["tokens"] / row["seconds"] for row in rows if row["step"] > recipe.start(phase) + 10]
        found[f"tokens/s, {phase}"] = f"{statistics.median(rates):,.0f}" if rates else "no run folder"
    return found


def nothing_to_do(root: Path) -> float:
    """Seconds of `dvc repro` that finds nothing to do, median of three."""
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([".venv/bin/dvc", "repro"], cwd=root, capture_output=True, text=True, check=True)
        spent.append(time.perf_counter() - began)
        if "Running stage" in done.stdout:
            raise RuntimeError("something was to be done: run make repro first")
    return statistics.median(spent)


def fold_error(layout: Layout, recipe: Recipe, phase: str) -> float:
    """Largest difference of a logit between the trainer's decoder and the released Llama, over the largest logit."""
    end, section = end_of(recipe, phase, layout.stage("train", phase).data), recipe.phase(phase)
    decoder = load_decoder(end.folder, recipe.model, "cpu")
    llama = AutoModelForCausalLM.from_pretrained(layout.stage("export").data / end.revision).eval()
    tokens = torch.randint(0, recipe.model.vocab_size, (section.context,), generator=torch.Generator().manual_seed(1))
    bounds = torch.tensor([0, section.context], dtype=torch.int32)
    with torch.no_grad():
        mine = decoder.logits(decoder(tokens, torch.arange(section.context), bounds, section.rope_theta, "sdpa"))
        theirs = llama(tokens[None]).logits[0]
    return float((mine - theirs).abs().max() / mine.abs().max())


def scores(layout: Layout, recipe: Recipe, phase: str) -> dict[str, str]:
    """Bits per byte of held-out text: before the first step, and after `phase`."""
    first, last = (
        load_json(layout.stage("evaluate", p).data / "evaluation.json")["held_out"] for p in (recipe.path(phase)[0], phase)
    )
    return {
        f"bits per byte, {family}": f"{first[family]['before']:.3f} -> {score['bits_per_byte']:.3f}"
        for family, score in last.items()
    }


def code(root: Path) -> dict[str, str]:
    told = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split()
    lines = {name: (root / name).read_text(encoding="utf-8").count("\n") for name in told if name.endswith(".py")}
    longest = max(lines, key=lambda name: lines[name])
    own = [name for name in told if not name.startswith("artifacts/")]
    return {"files in git, artifacts apart": str(len(own)), "longest Python file": f"{longest}, {lines[longest]} lines"}


def main() -> None:
    root = find_root()
    layout = Layout(root=root, recipe=read_params(root).recipe)
    recipe = load_recipe(root, layout.recipe).recipe
    found = speed(layout, recipe) | {"seconds of dvc repro, nothing to do": f"{nothing_to_do(root):.1f}"}
    parts = manifest.read(layout.stage("bundle").manifest).summary
    found |= {f"release, {part}": f"{parts[part]['bytes'] / 1e6:.1f} MB" for part in parts}
    for phase in recipe.leaves():
        found[f"fold error, {phase}"] = f"{fold_error(layout, recipe, phase):.1e}"
    families = manifest.read(layout.stage("synthesize").manifest).summary["families"]
    found |= {f"synthetic yield, {name}": f"{told['kept']} of {told['asked']}" for name, told in families.items()}
    found |= scores(layout, recipe, recipe.leaves()[-1]) | code(root)
    width = max(map(len, found))
    print("\n".join(f"{name:{width}}  {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()

"""A states folder as a release has it, of a small model: recipe, tokenizer, a checkpoint with moments, and the list of it all."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.unit.train.conftest import small_recipe
from yulan import files, manifest
from yulan.data import tokenizer
from yulan.layout import MANIFEST
from yulan.model.shape import parameters
from yulan.recipe import Recipe
from yulan.schema import plain
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.checkpoint.state import Cursor, read_state
from yulan.train.checkpoint.write import write_checkpoint

WORDS = "the a of in model data token step rate loss mix phase shard 年 度 人 大".split()  # noqa: SIM905 - shorter so

PHASE: dict[str, Any] = {
    "name": "mine",
    "after": "phase-02",
    "regime": "anneal",
    "peak": 0.02,
    "warmup": None,
    "decay": 3,
    "tokens": 4 * 8 * 32,
    "context": 32,
    "packing": "stream",
    "rope_theta": 10000.0,
    "batch": 8,
    "grid": 4,
    "checkpoints": {"every": 2, "keep": 2},
    "rebalance": False,
    "mix": {"total": 4, "sources": {"notes": {"weight": 3, "repeats": 0}, "web/wiki": {"weight": 1, "repeats": 0}}},
}
"""A phase file for the small recipe: 4 steps of 8 windows of 32, the last 3 of them a decay."""


def texts(count: int, seed: int = 1) -> list[str]:
    """Documents of 30 to 90 words, no two alike."""
    draw = random.Random(seed)
    return [" ".join([str(n), *draw.choices(WORDS, k=draw.randint(30, 90))]) for n in range(count)]


def write_lines(path: Path, rows: list[str]) -> Path:
    return files.write_text(path, "".join(json.dumps({"text": row}) + "\n" for row in rows))


def long_recipe(phases: int) -> Recipe:
    """The small recipe with so many stable phases of two steps before its anneals."""
    small = small_recipe()
    first, later = small.phases["phase-01"], small.phases["phase-02"]
    made = {"phase-01": replace(first, tokens=2 * first.step_tokens)}
    for number in range(2, phases + 1):
        made[f"phase-{number:02}"] = replace(later, after=f"phase-{number - 1:02}", tokens=2 * later.step_tokens)
    return replace(small, name=f"nano-{phases}", phases=made)


def write_states(folder: Path, recipe: Recipe, phase: str, *, lr: float | None = None, moments: bool = True) -> Path:
    """The last checkpoint of a phase, its moments made up; the weights are the start values."""
    work = folder.with_name(folder.name + "-work")
    begin = read_state(write_initial(work / "init", recipe))
    weights = read_checkpoint(work / "init" / "step-000000")
    section = recipe.phase(phase)
    step = recipe.start(phase) + section.steps
    state = replace(
        begin,
        global_step=step,
        phase_step=section.steps,
        tokens=recipe.tokens_before(phase) + section.steps * section.step_tokens,
        cursor=Cursor(phase=phase, windows=section.windows),
        adam_step=step,
        lr=recipe.schedule.peak if lr is None else lr,
    )

    def piece(name: str, kind: str) -> tuple[int, torch.Tensor]:
        value = weights.tensor(name).view(-1)
        return 0, value if kind == "weights" else torch.full_like(value, 1e-3)

    write_checkpoint(folder / "checkpoint", state, parameters(recipe.model), piece, moments="fp32" if moments else None)
    text = yaml.safe_dump(plain(recipe), sort_keys=False, allow_unicode=True)
    files.write_text(folder / "recipes" / recipe.name / "recipe.yaml", text)
    settings = recipe.data.tokenizer
    tokenizer.save(tokenizer.train(iter(texts(200, 2)), settings, begin_with_bos=False), folder / "tokenizer", settings)
    listed = manifest.survey(folder, but=frozenset({MANIFEST}))
    manifest.write(
        folder / MANIFEST,
        manifest.Manifest(
            format=1,
            stage="release",
            name=f"{recipe.name}/states/{phase}",
            files=listed,
            inputs={},
            keys={},
            summary={},
            determinism=None,
        ),
    )
    return folder

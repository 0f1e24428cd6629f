"""The YuLan-Mini repositories in miniature: synthetic weights of a tiny recipe in the tree that the real ones have."""

import json
from pathlib import Path

import torch

from tests.unit.release.audit_kit import Files
from yulan import files
from yulan.model.fold import llama_config, yulanmini_config
from yulan.model.shape import parameters
from yulan.recipe import Book
from yulan.recipe.known import Known
from yulan.release.weights import Lazy, layout, released, write_weights
from yulan.train.checkpoint.outgoing import export
from yulan.train.checkpoint.read import Checkpoint, read_checkpoint
from yulan.train.checkpoint.state import GENESIS, Chain, Cursor, State
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import training_keys

CARD = """---
license: mit
arxiv: 2412.17743
---
# Synthetic replica of {name}
The tree of the published repository, with a tiny model's weights that were drawn by chance.
"""


def checkpoint(folder: Path, book: Book, step: int) -> Checkpoint:
    """A whole checkpoint with random numbers, at a step of our choice."""
    recipe = book.recipe
    phase = recipe.leaves()[0]
    draw = torch.Generator().manual_seed(step)
    shapes = {p.name: p.shape for p in parameters(recipe.model)}
    state = State(
        format=1,
        recipe=recipe.name,
        keys=recipe.keys(*training_keys(recipe, phase)),
        global_step=step,
        phase_step=recipe.phase(phase).steps,
        tokens=step * recipe.phase(phase).step_tokens,
        cursor=Cursor(phase=phase, windows=recipe.phase(phase).windows),
        skipped=(),
        adam_step=step,
        lr=0.01,
        rng="00",
        chain=Chain(metrics=GENESIS, replay=GENESIS),
        trajectory="EXACT",
        fresh_optimizer=False,
        determinism=None,
    )
    write_checkpoint(
        folder, state, parameters(recipe.model), lambda name, _: (0, torch.randn(shapes[name], generator=draw).mul(0.05).view(-1))
    )
    return read_checkpoint(folder)


def replica(work: Path, book: Book, name: str, known: Known, step: int) -> Files:
    """Every file of one repository."""
    made = checkpoint(work / "checkpoint", book, step)
    model, out = book.recipe.model, work / "repo"
    config = llama_config if known.architecture == "llama" else yulanmini_config
    files.write_json(out / "config.json", config(model, 64, 10_000.0, 1, 2, "bfloat16"))
    write_weights(
        out, layout(model, known.architecture), released(Lazy(made), model, known.architecture, "bfloat16"), "bfloat16", 1 << 16
    )
    files.write_text(out / "README.md", CARD.format(name=name))
    files.write_text(out / "tokenizer.json", json.dumps({"version": "1.0", "model": {"type": "BPE"}}))
    if known.optimizer:
        export(work / "checkpoint", work / "universal", "universal")
        files.link_tree(work / "universal", out)
        told = {"global_step": step, "num_input_tokens_seen": 0, "log_history": []}
        files.write_json(out / "trainer_state.json", told)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}

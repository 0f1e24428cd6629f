"""What the last decay's text and its long context are worth: one parent, three ends, equal tokens and rates."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from yulan import files
from yulan.data.batch import Batches
from yulan.data.order import Order, order_key
from yulan.data.pack import Pack, read_header
from yulan.data.shard import read_shards
from yulan.errors import RecipeError
from yulan.evaluate.held_out import byte_lengths, read_held_out
from yulan.evaluate.runner import Ids, Runner
from yulan.model.decoder import Decoder
from yulan.model.shape import parameters
from yulan.recipe import INIT, Book, Recipe, read_recipe
from yulan.recipe.training import Anneal
from yulan.study.pool import rows_of, run_all
from yulan.study.protocol import Protocol, register
from yulan.study.train import Trainer, each_step
from yulan.study.windows import index_windows
from yulan.train.checkpoint.read import read_checkpoint
from yulan.train.schedule import learning_rate

RUNS = "runs.jsonl"
STABLE, TARGETED, LONG = "stable mix", "targeted mix", "targeted mix, long context"
EFFECT = 0.01
"""Bits per byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One way to end."""

    mix: str
    like: str
    """The phase that gives context, theta, batch and grid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    phase: str
    """The anneal; its parent is where every run begins."""
    steps: int
    seeds: tuple[int, ...] = (1, 2, 3)
    """Of the data order: the weights at the start are the parent's."""
    held_tokens: int = 16384
    """Of each source's held-out text, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Folders of what is read."""

    recipe: Path
    shards: Path
    mix: Path
    """The parent's pack: which tokens the path has used."""
    parent: Path
    """Checkpoint."""
    tokenizer: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One run, with all that a process needs to do it."""

    name: str
    arm: str
    seed: int
    design: Design
    inputs: Inputs
    folder: Path


def arms_of(recipe: Recipe, phase: str) -> dict[str, Arm]:
    """Raises: RecipeError: the phase is the first, or its context is no longer than its parent's."""
    section = recipe.phase(phase)
    if section.after == INIT or section.context <= recipe.phase(section.after).context:
        raise RecipeError(
            f"{phase} does not lengthen the context of a phase before it",
            where=f"$.phases.{phase}",
            cure="Name one that does with --phase",
        )
    parent = section.after
    return {
        STABLE: Arm(mix=recipe.phase(parent).mix, like=parent),
        TARGETED: Arm(mix=section.mix, like=parent),
        LONG: Arm(mix=section.mix, like=phase),
    }


def edges_of(recipe: Recipe, phase: str) -> list[int]:
    """Bounds of the positions that are told apart; the parent's context is one of them."""
    long, short = recipe.phase(phase).context, recipe.phase(recipe.phase(phase).after).context
    return sorted({0, short // 4, short, min(2 * short, long), long})


def protocol_of(design: Design, recipe: Recipe, data: Mapping[str, str], known: str) -> Protocol:
    arms = arms_of(recipe, design.phase)
    short = recipe.phase(arms[STABLE].like).context
    return Protocol(
        format=1,
        study="anneal",
        question="What do the anneal's targeted mix and its long context change, after the same parent, with the same"
        " number of tokens a step, steps and rates?",
        outcome=f"Bits per byte of held-out text. Mix: `{TARGETED}` less `{STABLE}` at positions under {short}, all"
        f" documents. Context: `{LONG}` less `{TARGETED}`, of one mix, at positions from {short} on.",
        effect=f"A difference of {EFFECT:g} bits per byte either way whose 95 % interval does not hold 0. Categories and"
        " positions are description.",
        analysis="Nats of a document are averaged over seeds, which are data orders; then documents are drawn with"
        " replacement, both arms together: 10,000 resamples, percentiles. The interval speaks of documents, not of seeds.",
        known=known,
        recipe=recipe.name,
        data=data,
        settings={
            "phase": design.phase,
            "parent": recipe.phase(design.phase).after,
            "steps": design.steps,
            "seeds": list(design.seeds),
            "short": short,
            "held_tokens": design.held_tokens,
            "edges": edges_of(recipe, design.phase),
            "arms": {name: {"mix": arm.mix, "like": arm.like} for name, arm in arms.items()},
        },
    )


def run_study(
    design: Design,
    book: Book,
    inputs: Inputs,
    folder: Path,
    *,
    data: Mapping[str, str],
    known: str,
    processes: int,
    tell: Callable[[int, int, dict[str, Any]], None],
) -> dict[str, dict[str, Any]]:
    """Rows of all runs, by name; the protocol is on disk before the first, and what is there already is not run again.

    Raises: RecipeError: the phase cannot be studied so. StateError: the folder holds a study under another protocol.
    DataError: a mix cannot fill its windows.
    """
    arms = arms_of(book.recipe, design.phase)
    files.make_folder(folder)
    register(protocol_of(design, book.recipe, data, known), folder)
    shards, taken = read_shards(inputs.shards), read_header(inputs.mix).sources
    for name, arm in arms.items():
        like = book.recipe.phase(arm.like)
        index_windows(folder / _slug(name), book.mixes[arm.mix], design.steps * like.step_tokens, like.context, shards, taken)
    done = rows_of(folder / RUNS, "annealed")
    cells = [
        Cell(name=f"{arm} {seed}", arm=arm, seed=seed, design=design, inputs=inputs, folder=folder)
        for seed in design.seeds
        for arm in arms
    ]
    missing = [cell for cell in cells if cell.name not in done]
    run_all(missing, run_cell, folder / RUNS, "annealed", processes, tell)
    return rows_of(folder / RUNS, "annealed")


def _slug(arm: str) -> str:
    return arm.replace(",", "").replace(" ", "-")


def run_cell(cell: Cell) -> list[dict[str, Any]]:
    """Train one arm in one order from the parent's checkpoint and measure it; one row."""
    began, recipe, inputs = time.perf_counter(), read_recipe(cell.inputs.recipe), cell.inputs
    like = recipe.phase(arms_of(recipe, cell.design.phase)[cell.arm].like)
    checkpoint = read_checkpoint(inputs.parent, parameters(recipe.model))
    decoder = Decoder(recipe.model)
    trainer = Trainer(decoder, recipe.model, recipe.optimizer, like.rope_theta)
    trainer.load(checkpoint, checkpoint.state.adam_step)
    pack = Pack.open(cell.folder / _slug(cell.arm), inputs.shards)
    order = Order(windows=pack.windows, key=order_key(f"anneal {cell.arm}", cell.seed))
    batches = Batches(pack=pack, order=order, batch=like.batch, grid=like.grid)
    start = checkpoint.state.global_step
    decay = Anneal(start=start, length=cell.design.steps, hold=None)
    steps = each_step(trainer, batches, lambda at: learning_rate(at, recipe.schedule, decay), start, cell.design.steps)
    losses = [float(f"{step.loss:.6g}") for step in steps]
    edges = edges_of(recipe, cell.design.phase)
    runner = Runner(decoder=decoder, context=edges[-1], rope_theta=like.rope_theta)
    return [
        {
            "name": cell.name,
            "arm": cell.arm,
            "seed": cell.seed,
            "losses": losses,
            "documents": measure(runner, inputs, cell.design.held_tokens, edges),
            "seconds": round(time.perf_counter() - began, 2),
        }
    ]


def measure(runner: Runner, inputs: Inputs, tokens: int, edges: list[int]) -> list[dict[str, Any]]:
    """Nats and bytes of every held-out document, by position."""
    shards = read_shards(inputs.shards)
    sizes = byte_lengths(Tokenizer.from_file(str(inputs.tokenizer / "tokenizer.json")))
    named: list[tuple[str, Ids]] = []
    for source in sorted(shards.sources):
        found = read_held_out(inputs.shards, shards, source, tokens=tokens, context=runner.context)
        named += [(source, document) for document in found if len(document) > 1]
    rows: list[dict[str, Any]] = [{} for _ in named]
    for index, hidden_TD in runner.each([document[:-1] for _, document in named]):
        source, document = named[index]
        nats = runner.decoder.token_losses(hidden_TD, torch.from_numpy(document[1:])).double().numpy()
        parts = [(nats[low:high], sizes[document[1:]][low:high]) for low, high in pairwise(edges)]
        rows[index] = {
            "source": source,
            "nats": [float(f"{float(np.sum(part)):.9g}") for part, _ in parts],
            "bytes": [int(part.sum()) for _, part in parts],
        }
    return rows

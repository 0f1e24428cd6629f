"""Does YuLan-Mini's start let a model learn at higher rates? Variants x peak rates x seeds, at the size of nano."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yulan import files
from yulan.data.batch import Batches, Micro, assemble
from yulan.data.order import Order, order_key
from yulan.data.pack import Pack, read_header
from yulan.data.shard import read_shards
from yulan.data.spans import Span
from yulan.mix import Part, Portions
from yulan.model.decoder import Decoder
from yulan.recipe import Recipe, read_recipe
from yulan.recipe.training import Anneal, Schedule
from yulan.study.divergence import Limits, ended, rose, spikes
from yulan.study.pool import rows_of, run_all
from yulan.study.protocol import Protocol, register
from yulan.study.train import Trainer, Watched, each_step
from yulan.study.variants import VARIANTS, build, model_of, optimizer_of
from yulan.study.windows import index_windows
from yulan.train.schedule import learning_rate

RUNS = "runs.jsonl"
ROPE_THETA = 10000.0
BASE, TREATED = "plain", "all"
EFFECT = 1.0
"""Grid steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """Sizes of the study; nothing else may differ between two studies of one recipe."""

    variants: tuple[str, ...] = tuple(VARIANTS)
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3)
    """Peak learning rates, rising by about three."""
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    """Of weights and data order."""
    steps: int = 64
    warmup: int = 20
    decay: int = 16
    """Last steps, over which the rate falls to 0."""
    batch: int = 8
    """Windows in a step."""
    context: int = 64
    sources: tuple[str, ...] = ("code/django", "math/arithmetic", "reasoning/logic")
    """In equal shares: text with enough structure to be learned from tens of thousands of tokens."""
    pool: int = 8192
    """Windows that seeds draw their data from."""
    checked: int = 128
    """Windows that no run is trained on, for the loss at the end."""
    window: int = 8
    rise: float = 1.0
    """Nats."""
    margin: float = 0.2
    """Nats."""
    spike: float = 1.0
    """Nats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One run, with all that a process needs to do it."""

    name: str
    variant: str
    rate: float
    seed: int
    design: Design
    recipe: Path
    shards: Path
    folder: Path


def protocol_of(design: Design, recipe: Recipe, data: Mapping[str, str], known: str) -> Protocol:
    sizes = {key: list(value) if isinstance(value, tuple) else value for key, value in _fields(design).items()}
    return Protocol(
        format=1,
        study="stability",
        question="Do muP, re-parameterisation and z-loss together, or one of them alone, let a model of nano's shape learn"
        " at a higher peak learning rate than a plain start?",
        outcome="For each variant and seed the highest peak learning rate of the grid whose run did not diverge. A run"
        f" diverges if a loss is not finite; if the mean loss of {design.window} steps lies {design.rise:g} nats over the"
        " lowest such mean before it (the run ends there); or if after its last step its loss on text that it was not"
        f" trained on is not at least {design.margin:g} nats under that of the training data's token frequencies. A"
        " variant and seed climbs the grid and stops at its first diverged run; rates above count as diverged, unrun.",
        effect=f"`{TREATED}` against `{BASE}`, paired by seed: a mean difference of at least {EFFECT:g} grid step whose"
        " 95 % interval does not hold 0. The same is reported for each part against plain, as description.",
        analysis="Bootstrap over seeds, 10,000 resamples, percentiles; rates of divergence with Wilson's intervals. A"
        " variant that does not diverge at the grid's end is censored there, and is counted with the grid's end.",
        known=known,
        recipe=recipe.name,
        data=data,
        settings=sizes | {"rope_theta": ROPE_THETA},
    )


def _fields(design: Design) -> dict[str, Any]:
    return {name: getattr(design, name) for name in Design.__dataclass_fields__}


def run_study(
    design: Design,
    recipe: Recipe,
    path: Path,
    shards: Path,
    folder: Path,
    *,
    data: Mapping[str, str],
    known: str,
    processes: int,
    tell: Callable[[int, int, dict[str, Any]], None],
) -> dict[str, dict[str, Any]]:
    """Rows of all runs, by name; the protocol is on disk before the first, and what is there already is not run again.

    Raises: StateError: the folder holds a study under another protocol. DataError: the mix cannot fill the windows.
    """
    files.make_folder(folder)
    register(protocol_of(design, recipe, data, known), folder)
    prepare(design, shards, folder)
    done = rows_of(folder / RUNS, "trial")
    climbs = []
    # Seeds first: a study that is stopped has every variant of the seeds before.
    for seed, variant in product(design.seeds, design.variants):
        cells = [
            Cell(
                name=_name(variant, rate, seed),
                variant=variant,
                rate=rate,
                seed=seed,
                design=design,
                recipe=path,
                shards=shards,
                folder=folder,
            )
            for rate in design.rates
        ]
        made = [done[cell.name] for cell in cells if cell.name in done]
        if len(made) < len(cells) and not any(row["diverged"] for row in made):
            climbs.append(cells[len(made) :])
    run_all(climbs, climb, folder / RUNS, "trial", processes, tell)
    return rows_of(folder / RUNS, "trial")


def _name(variant: str, rate: float, seed: int) -> str:
    return f"{variant} {rate:g} {seed}"


def climb(cells: list[Cell]) -> list[dict[str, Any]]:
    """Rates upwards until one diverges; a row each."""
    rows: list[dict[str, Any]] = []
    for cell in cells:
        rows.append(run_cell(cell))
        if rows[-1]["diverged"]:
            break
    return rows


def prepare(design: Design, shards: Path, folder: Path) -> None:
    """Index the windows to train on and, behind them in the same streams, those to be checked on."""
    there = read_shards(shards)
    parts = Portions(total=len(design.sources), sources={name: Part(weight=1, repeats=0) for name in design.sources})
    taken: dict[str, Span] = {}
    for name, windows in (("train", design.pool), ("checked", design.checked)):
        index_windows(folder / name, parts, windows * design.context, design.context, there, taken)
        taken = dict(read_header(folder / name).sources)


def run_cell(cell: Cell) -> dict[str, Any]:
    """Train one variant at one rate from one seed; the row that the log keeps."""
    design, variant, recipe = cell.design, VARIANTS[cell.variant], read_recipe(cell.recipe)
    began = time.perf_counter()
    pack = Pack.open(cell.folder / "train", cell.shards)
    checked = assemble(Pack.open(cell.folder / "checked", cell.shards), np.arange(design.checked))
    limits = limits_of(design, pack, checked)
    order = Order(windows=pack.windows, key=order_key("stability", cell.seed))
    batches = Batches(pack=pack, order=order, batch=design.batch, grid=1)
    model = model_of(variant, recipe.model)
    decoder = build(variant, model, cell.seed)
    trainer, watched = Trainer(decoder, model, optimizer_of(variant, recipe.optimizer), ROPE_THETA), Watched(decoder)
    schedule = Schedule(peak=cell.rate, warmup=design.warmup)
    anneal = Anneal(start=design.steps - design.decay, length=design.decay, hold=None)
    losses: list[float] = []
    stream: list[float] = []
    reason = None
    for step in each_step(trainer, batches, lambda at: learning_rate(at, schedule, anneal), 0, design.steps):
        losses.append(step.loss)
        stream.append(watched.rms[-1])
        if reason := rose(losses, limits):
            break
    by_layer = list(watched.rms)
    last = check_loss(decoder, checked) if reason is None else None
    if reason is None and last is not None:
        reason = ended(last, limits)
    return {
        "name": cell.name,
        "variant": cell.variant,
        "rate": cell.rate,
        "seed": cell.seed,
        "diverged": reason,
        "losses": [_short(each) for each in losses],
        "stream": [_short(each) for each in stream],
        "by_layer": [_short(each) for each in by_layer],
        "checked": _short(last) if last is not None else None,
        "spikes": spikes(losses, limits),
        "seconds": round(time.perf_counter() - began, 2),
    }


def limits_of(design: Design, pack: Pack, checked: Micro) -> Limits:
    """The protocol's numbers; the ceiling is that of token frequencies on the checked windows, less the margin."""
    trained = pack.rows(np.arange(pack.windows))
    ids = trained.tokens[np.arange(trained.tokens.shape[1])[None] < trained.lengths[:, None]]
    counts = np.bincount(ids, minlength=int(checked.tokens.max()) + 1) + 1.0
    wanted = checked.targets[checked.targets >= 0]
    ceiling = float(-np.log(counts / counts.sum())[wanted].mean())
    return Limits(window=design.window, rise=design.rise, ceiling=ceiling - design.margin, spike=design.spike)


@torch.no_grad()
def check_loss(decoder: Decoder, checked: Micro) -> float:
    """Cross-entropy of the checked windows, nats a token."""
    hidden = decoder(
        torch.from_numpy(checked.inputs.reshape(-1)),
        torch.from_numpy(checked.positions.reshape(-1)),
        torch.from_numpy(checked.cu_seqlens),
        ROPE_THETA,
        "sdpa",
    )
    losses = decoder.token_losses(hidden, torch.from_numpy(checked.targets.reshape(-1)))
    return float(losses.double().sum() / int((checked.targets >= 0).sum()))


def _short(value: float) -> float | None:
    """Six digits are plenty for a picture; JSON has no NaN."""
    return float(f"{value:.6g}") if np.isfinite(value) else None

"""Steps of training against a bare torch loop and transformers' Trainer: `python -m tests.bench.steps [--ranks 1] [--zero 1]`.

nano's first phase: its model, 16 windows of 256 in a grid of 4, fp32, one thread a rank, the same batches. Each trainer
is a process of its own and they take turns step by step. Ours is the real loop: batch digests, both logs, clipping, AdamW
under ZeRO-1 or, as the peers, on every rank (`--zero 0`); the peers log nothing. Start-up and the first steps are not counted.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench import pairs
from tests.bench.baton import CLOCKS, Trainer
from tests.bench.loader import write_corpus
from tests.bench.pairs import Aim, Line
from tests.bench.ranks import ROOT
from yulan.data.order import order_key
from yulan.data.pack import write_pack
from yulan.data.spans import Span, cut_segments
from yulan.profile import load_profile
from yulan.recipe import read_recipe
from yulan.train.checkpoint.initial import write_initial
from yulan.train.checkpoint.state import read_state
from yulan.train.determinism import determinism_of
from yulan.train.launch.job import Job, write_job

PAIRS, WARMUP = 40, 3
AIMS = {"loop": ("a bare torch loop", 0.95), "hf_trainer": ("the Hugging Face trainer", 1.0)}


def prepare(folder: Path, ranks: int, steps: int, zero: int) -> None:
    """Data, first checkpoint and job.json for all contenders."""
    recipe = read_recipe(ROOT / "recipes" / "nano" / "recipe.yaml")
    phase = recipe.phase("phase-01")
    tokens = steps * phase.step_tokens
    # No checkpoint falls into the steps that are counted.
    phase = replace(phase, tokens=tokens, checkpoints=replace(phase.checkpoints, every=steps))
    recipe = replace(recipe, phases={"phase-01": phase}, schedule=replace(recipe.schedule, warmup=WARMUP))
    shards = write_corpus(folder / "shards", tokens=tokens + 1, vocabulary=recipe.model.vocab_size, documents=4.5)
    spans = {"web": Span(quota=tokens, start=0, repeated=0)}
    segments = cut_segments(spans, shards)
    write_pack(folder / "mix", context=phase.context, spans=spans, segments=segments, shards=shards)
    profile = replace(load_profile("cpu-1"), processes=ranks, zero=zero)
    parent = write_initial(folder, recipe)
    job = Job(
        recipe=recipe,
        phase="phase-01",
        profile=profile,
        folder=str(folder),
        mix=str(folder / "mix"),
        shards=str(folder / "shards"),
        order=order_key("0" * 64, recipe.seed),
        parent=str(parent),
        start=str(parent),
        steps=steps,
        chain=read_state(parent).chain,
        determinism=determinism_of(profile),
        trajectory="EXACT",
        fresh_optimizer=False,
    )
    write_job(job)


def lines(ranks: int = 1, zero: int = 1, count: int = PAIRS, clock: str = "wall") -> list[Line]:
    with tempfile.TemporaryDirectory() as name:
        folder, trainers = Path(name), {}
        prepare(folder, ranks, count + WARMUP + 2, zero)
        try:
            for each, module in [("ours", "tests.bench.ours"), *((peer, f"tests.bench.peers.{peer}") for peer in AIMS)]:
                print(f"steps: starting {each} ...", file=sys.stderr)
                trainers[each] = Trainer(folder / each, module, ranks, clock)
            times = pairs.rounds({each: trainer.step for each, trainer in trainers.items()}, count, warmup=WARMUP)
        finally:
            for trainer in trainers.values():
                trainer.end()
    where = f"{ranks} process{'es' if ranks > 1 else ''}, ZeRO-{zero}" + ("" if clock == "wall" else f", {clock} time")
    return [
        pairs.ratio(
            f"training against {told}, {where}",
            times[peer],
            times["ours"],
            told=pairs.milliseconds,
            aim=Aim(at="least", value=aim),
            ours="under",
        )
        for peer, (told, aim) in AIMS.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--zero", type=int, choices=(0, 1), default=1)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    told = parser.parse_args()
    pairs.show(lines(told.ranks, told.zero, told.pairs, told.clock))


if __name__ == "__main__":
    main()

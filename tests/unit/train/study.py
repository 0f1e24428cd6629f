"""How often replay is right: `python -m tests.unit.train.study FOLDER [SEEDS]` prints a table of rates.

For each seed a publisher on two ranks trains sixteen steps, then the same eight once honestly and once for each way
of cheating; other honest publishers train the eight on other machines. The auditor trains them again on the first
machine (EXACT) and on one with fewer vector instructions (CLOSE). That one's band comes from trainings on four machines,
never the publisher's; statistic, steps and margin are those of `yulan/train/replay/band.py`.
Each launch trains all its stretches in one warm process a rank: the loop is the real one, torchrun too.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.unit.train import forge
from tests.unit.train.audit_kit import BEGIN, END, PHASE, audited_recipe, copy_until
from tests.unit.train.conftest import MIX, ROOT, profile
from yulan import files
from yulan.data.order import order_key
from yulan.manifest import Determinism
from yulan.recipe import Recipe
from yulan.train.checkpoint.scan import step_name
from yulan.train.checkpoint.state import read_state
from yulan.train.determinism import determinism_of
from yulan.train.launch.job import CHECKPOINTS, Job
from yulan.train.log import REPLAY
from yulan.train.replay.band import Band, make_band
from yulan.train.replay.segment import Segment, cut
from yulan.train.replay.verdict import Replayed, judge

LADDER = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""Part by which the learning rate is larger than told."""
Act = Callable[[int], AbstractContextManager[None]]
FORGERS: dict[str, Act] = forge.TRAINING | {f"lr x (1 + {e:g})": forge.faster(1 + e) for e in LADDER}
ENDS = {f"{forge.FORGED_END}, one number x 1.001": None} | {f"{forge.FORGED_END}, one matrix x {e:g}": e for e in (1.001, 1.01)}
"""Factor of one matrix after the last step; null: of one number of it."""
MACHINES = {"same": (2, None), "1 rank": (1, None), "4 ranks": (4, None), "plain": (2, "default"), "avx2": (2, "avx2")}
"""Ranks, and the vector level that torch is held to where it is not the best."""
AUDITOR, AGAIN = "avx2", "again"
PUBLISHERS = ("same", "1 rank", "4 ranks")
"""Honest ones; the forgers are on the first machine."""


def seeds(count: int) -> range:
    return range(1, 1 + count)


def job(folder: Path, recipe: Recipe, run: Path, steps: int, ranks: int) -> Job:
    """Train the phase in `run` up to `steps`, from its last checkpoint; as `train_phase` asks a rank to."""
    machine = profile(ranks)
    begin = folder / "init" / str(recipe.seed) / step_name(0)
    start = begin if steps == BEGIN else run / CHECKPOINTS / step_name(BEGIN)
    return Job(
        recipe=recipe,
        phase=PHASE,
        profile=machine,
        folder=str(run),
        mix=str(folder / "mix"),
        shards=str(folder / "shards"),
        order=order_key(MIX, recipe.seed),
        parent=str(start),
        start=str(start),
        steps=steps,
        chain=read_state(begin).chain,
        determinism=determinism_of(machine),
        trajectory="EXACT",
        fresh_optimizer=False,
    )


def work(folder: Path, name: str, count: int) -> None:
    """One rank of a launch: every training of that machine."""
    import torch.distributed as dist

    from yulan.train.backend import connect
    from yulan.train.loop import train

    ranks = MACHINES[name][0]
    connect(profile(ranks))
    lead = dist.get_rank() == 0

    def go(recipe: Recipe, run: Path, steps: int, act: Act = forge.honest) -> None:
        if lead and steps == END:
            copy_until(folder / "runs" / str(recipe.seed) / "base", run, BEGIN)
        dist.barrier()
        with act(BEGIN):
            train(job(folder, recipe, run, steps, ranks))
        dist.barrier()

    for seed in seeds(count):
        recipe, runs = audited_recipe(seed), folder / "runs" / str(seed)
        if name == "same":
            go(recipe, runs / "base", BEGIN)
            for told, act in FORGERS.items():
                go(recipe, runs / told, END, act)
        go(recipe, runs / name, END)
        if name in PUBLISHERS:
            go(recipe, runs / f"{name} {AGAIN}", END)
        if lead:
            print(f"{name}: seed {seed}", file=sys.stderr, flush=True)
    os._exit(0)


def launch(folder: Path, name: str, count: int) -> None:
    ranks, level = MACHINES[name]
    options = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={ranks}"]
    command = [sys.executable, "-m", "torch.distributed.run", *options, str(Path(__file__).resolve()), "work"]
    own = {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    own |= {"ATEN_CPU_CAPABILITY": level} if level else {}
    with (folder / f"{name}.log").open("ab") as log:
        subprocess.run([*command, str(folder), name, str(count)], env=os.environ | own, stdout=log, stderr=log, check=True)


def prepare(folder: Path, count: int) -> None:
    from tests.unit.train.conftest import write_tokens
    from yulan.data.pack import write_pack
    from yulan.data.spans import Span, cut_segments
    from yulan.train.checkpoint.initial import write_initial

    phase = audited_recipe().phase(PHASE)
    shards, spans = write_tokens(folder / "shards", phase.tokens), {"web": Span(quota=phase.tokens, start=0, repeated=0)}
    write_pack(folder / "mix", context=phase.context, spans=spans, segments=cut_segments(spans, shards), shards=shards)
    for seed in seeds(count):
        write_initial(folder / "init" / str(seed), audited_recipe(seed))


def stretch(run: Path) -> Segment:
    return cut(run / CHECKPOINTS / step_name(BEGIN), run / CHECKPOINTS / step_name(END))


def trained(run: Path) -> tuple[list[dict[str, object]], Path]:
    return files.complete_rows(run / REPLAY)[BEGIN:], run / CHECKPOINTS / step_name(END)


def band(runs: Path, recipe: Recipe, publisher: str) -> Band:
    """From the auditor's trainings on every machine but the publisher's."""
    told = []
    for name in (AUDITOR, *(name for name in MACHINES if name not in (AUDITOR, publisher))):
        rows, reached = trained(runs / name)
        told.append((determinism(reached), rows, reached))
    return make_band(recipe, PHASE, runs / "base" / CHECKPOINTS / step_name(BEGIN), told)


def determinism(reached: Path) -> Determinism:
    found = read_state(reached).determinism
    assert found is not None
    return found


def forged_ends(runs: Path, recipe: Recipe) -> Iterator[str]:
    for told, factor in ENDS.items():
        if not (runs / told).exists():
            copy_until(runs / "same", runs / told, END)
            forge.forge_end(runs / told / CHECKPOINTS / step_name(END), recipe, factor)
        yield told


def judgements(folder: Path, count: int) -> Iterator[tuple[str, Replayed]]:
    """(what was published, the verdict)"""
    for seed in seeds(count):
        runs, recipe = folder / "runs" / str(seed), audited_recipe(seed)
        bands = {name: band(runs, recipe, name) for name in PUBLISHERS}
        for told in (*PUBLISHERS, *FORGERS, *forged_ends(runs, recipe)):
            publisher = told if told in PUBLISHERS else "same"
            found = stretch(runs / told)
            for auditor in (f"{publisher} {AGAIN}", AUDITOR):
                rows, reached = trained(runs / auditor)
                verdict = judge(found, rows, reached, determinism(reached), band=bands[publisher])
                yield "honest" if told in PUBLISHERS else told, verdict


def table(found: list[tuple[str, Replayed]]) -> dict[str, dict[str, list[int]]]:
    """Published as -> class asked -> [DIFFERENT, judged]."""
    rates: dict[str, dict[str, list[int]]] = {}
    for told, verdict in found:
        tally = rates.setdefault(told, {}).setdefault(verdict.asked, [0, 0])
        tally[0] += verdict.verdict == "DIFFERENT"
        tally[1] += 1
    return rates


def study(folder: Path, count: int) -> dict[str, dict[str, list[int]]]:
    prepare(folder, count)
    for name in MACHINES:
        launch(folder, name, count)
    rates = table(list(judgements(folder, count)))
    files.write_json(folder / "rates.json", rates)
    return rates


def main() -> None:
    if sys.argv[1] == "work":
        work(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    rates = study(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
    print("| published | DIFFERENT under EXACT | DIFFERENT under CLOSE |\n|---|---|---|")
    for told, each in rates.items():
        print(f"| {told} | " + " | ".join(f"{each[asked][0]} of {each[asked][1]}" for asked in ("EXACT", "CLOSE")) + " |")


if __name__ == "__main__":
    main()

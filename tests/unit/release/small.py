"""A whole release of a tiny recipe: real tokenizer, shards, packs and checkpoints; the weights are random, not trained."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from tests.pipeline.clone import HERE, write_tiny
from yulan import digest, files, manifest
from yulan.data import tokenizer
from yulan.data.contamination import Ledger
from yulan.data.dedup import DROPS
from yulan.data.drops import flow, write_drops
from yulan.data.index.write import Made, write_index
from yulan.data.pack import write_pack
from yulan.data.score.result import MEANING, NAME, Drawn, Report, Scores
from yulan.data.shard import write_shards
from yulan.data.spans import cut_segments, plan_spans
from yulan.layout import Layout
from yulan.manifest import Determinism
from yulan.model.shape import parameters
from yulan.recipe import Book, Recipe, load_recipe
from yulan.release.bundle.inputs import Inputs
from yulan.release.export import end_of, export
from yulan.schema import plain
from yulan.train.checkpoint.rebalance import begin_rebalanced
from yulan.train.checkpoint.state import GENESIS, Chain, Cursor, State, read_state
from yulan.train.checkpoint.write import write_checkpoint
from yulan.train.launch.job import training_keys

SYNTHETIC = "synthetic/sums"


def make_root(root: Path) -> Book:
    """A clone's recipe and licence: one source states no licence, one is made here."""
    shutil.copytree(HERE / "recipes" / "nano", root / "recipes" / "nano")
    for name in ("LICENSE", "CITATION.cff", "requirements.lock"):
        shutil.copy(HERE / name, root / name)
    write_tiny(root)
    tiny = root / "recipes" / "tiny"
    recipe = yaml.safe_load((tiny / "recipe.yaml").read_text())
    nano = yaml.safe_load((root / "recipes" / "nano" / "recipe.yaml").read_text())
    recipe["data"]["synthesize"]["families"] = {"sums": nano["data"]["synthesize"]["families"]["sums"]}
    recipe["data"]["tokenizer"]["vocab_size"] = 300
    recipe["model"]["vocab_size"] = 300
    recipe["release"]["text"] = ["code/networkx"]
    (tiny / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    sources = yaml.safe_load((tiny / "sources.yaml").read_text())
    sources["sources"]["en/wiki"]["licence"] = "unknown"
    sources["sources"][SYNTHETIC] = yaml.safe_load((root / "recipes" / "nano" / "sources.yaml").read_text())["sources"][SYNTHETIC]
    (tiny / "sources.yaml").write_text(yaml.safe_dump(sources, sort_keys=False, allow_unicode=True))
    for mix in (tiny / "mixes").iterdir():
        parts = {"en/wiki": 5, "code/networkx": 4, SYNTHETIC: 1}
        rows = "".join(f"  {name}: {{weight: {weight}, repeats: 1000}}\n" for name, weight in parts.items())
        mix.write_text(f"total: 10\nsources:\n{rows}intent: null\nfiles: null\n")
    return load_recipe(root, "tiny")


def write_text(folder: Path, name: str, texts: list[str]) -> None:
    rows = sorted({digest.of_text(text): text for text in texts}.items())
    table = pa.table({"id": [r[0] for r in rows], "text": [r[1] for r in rows], "source": [name] * len(rows)})
    (folder / name).mkdir(parents=True)
    pq.write_table(table, folder / name / "00000.parquet")


def write_synthetic(folder: Path) -> None:
    write_text(folder, SYNTHETIC, [f"Question: {a} + {b}\nAnswer: {a + b}" for a in range(9) for b in range(9)])
    pq.write_table(
        pa.table({"id": ["0"], "text": ["2 + 2 = 5"], "source": [SYNTHETIC], "verdict": ["wrong"]}), folder / "rejected.parquet"
    )
    family = {
        "task": "chain_sum",
        "check": "task",
        "template": "0" * 64,
        "questions": 90,
        "asked": 90,
        "kept": 81,
        "skipped": None,
    }
    family |= dict.fromkeys(("share", "any", "all", "mean"), 0.9)
    made = {"format": 2, "generator": "0" * 64, "families": {"sums": family | {"verdicts": {"accepted": 81, "wrong": 9}}}}
    files.write_json(folder / "families.json", made)


def write_contamination(folder: Path, book: Book) -> None:
    ledger = Ledger({"arc_easy": 9}, {"arc_easy": 8}, book.recipe.data.decontaminate)
    ledger.add("en/wiki", 1234, [{"benchmark": "arc_easy", "item": "q1", "kind": "whole", "field": "question"}])
    ledger.write(folder)


def write_figures(folder: Path) -> None:
    files.write_text(folder / "curves.csv", "step,loss\n")
    for name in ("loss", "bits-per-byte", "mixes", "flow"):
        files.write_text(folder / f"{name}.svg", "<svg/>")
        files.write_bytes(folder / f"{name}.png", b"\x89PNG\r\n\x1a\n")


def write_scores(folder: Path) -> None:
    drawn = Drawn(role="reference", train=70, calibrate=15, test=15, outcome=(1, 14))
    report = Report(
        kind="topic", auc=0.987654, brier=0.05, precision=0.9, recall=14 / 15, drawn={"code/networkx": drawn}, bins=(),
        seen=None, unseen=0.1, labelled=None,
    )  # fmt: skip
    made = Scores(format=1, meaning=MEANING, classifiers={"topics/code": report}, sources={})
    files.write_json(folder / NAME, plain(made))


def write_step(folder: Path, book: Book, phase: str, step: int) -> None:
    """A checkpoint at the end of a phase, as the trainer writes it, with numbers drawn from its name."""
    recipe = book.recipe
    draw = torch.Generator().manual_seed(step + len(phase))
    shapes = {p.name: p.shape for p in parameters(recipe.model)}
    state = State(
        format=1,
        recipe=recipe.name,
        keys=recipe.keys("seed", "model"),
        global_step=step,
        phase_step=recipe.phase(phase).steps,
        tokens=recipe.tokens_before(phase) + recipe.phase(phase).steps * recipe.phase(phase).step_tokens,
        cursor=Cursor(phase=phase, windows=recipe.phase(phase).windows),
        skipped=(3,),
        adam_step=step - 1,
        lr=0.01,
        rng="00",
        chain=Chain(metrics=GENESIS, replay=GENESIS),
        trajectory="EXACT",
        fresh_optimizer=False,
        determinism=Determinism(isa="test", threads=1, ranks=1, torch="0", zero=1, precision="fp32", attention="sdpa"),
    )
    write_checkpoint(
        folder, state, parameters(recipe.model), lambda name, _: (0, torch.randn(shapes[name], generator=draw).mul(0.05).view(-1))
    )


def write_begin(trained: Path, book: Book, phase: str) -> None:
    """What a phase begins re-balanced with, as the trainer writes it."""
    recipe = book.recipe
    step = f"step-{recipe.start(phase):06d}"
    parent = trained / recipe.phase(phase).after / "checkpoints" / step
    keys = recipe.keys(*training_keys(recipe, phase))
    state = replace(read_state(parent), keys=keys, phase_step=0, cursor=Cursor(phase=phase, windows=0))
    begin_rebalanced(parent, trained / phase / "checkpoints" / step, state)


def evaluation(phase: str, step: int) -> dict[str, object]:
    score = {"bits_per_byte": 2.345678 + step / 100, "before": 3.5, "documents": 9, "tokens": 999, "bytes": 3000}
    task = {"metric": "acc", "value": 0.25, "stderr": 0.0434, "shots": 0, "items": 100}
    head = {"format": 1, "phase": phase, "global_step": step, "context": 64, "generations": []}
    return head | {"held_out": {"prose": score}, "sources": {"en/wiki": score}, "by_position": {}, "tasks": {"arc_easy": task}}


def place_index(book: Book, work: Path) -> None:
    """The index of every document, where no near copy was left out."""
    files.make_folder(work / "dedup")
    pq.write_table(DROPS.empty_table(), work / "dedup" / "drops.parquet")
    made_of = Made(
        shards=work / "shards",
        text=work / "text",
        copies=work / "dedup" / "drops.parquet",
        mixes={p: work / "mix" / p for p in book.recipe.phases},
        digests={p: digest.of_text(f"mix@{p}") for p in book.recipe.phases},
    )
    write_index(book.recipe, made_of, work / "index")


def make_inputs(root: Path) -> Inputs:
    book = make_root(root)
    recipe, work = book.recipe, root / "work"
    write_text(work / "text", "en/wiki", [f"{word} is a word of {n} letters." for n, word in enumerate("abcdefghij" * 9)])
    write_text(work / "text", "code/networkx", [f"def f{n}(x):\n    return x + {n}\n" for n in range(90)])
    write_synthetic(work / "synthesize")
    shutil.copytree(work / "synthesize" / SYNTHETIC, work / "text" / SYNTHETIC)
    settings = recipe.data.tokenizer
    made = tokenizer.train(tokenizer.sample(work / "text", 100_000, 0), settings, begin_with_bos=False)
    tokenizer.save(made, work / "tokenizer", settings)
    codec = tokenizer.load(work / "tokenizer", settings, begin_with_bos=False)
    shards = write_shards(work / "text", codec, recipe.data.shards, work / "shards", wanted=book.mix("phase-01").sources.keys())
    ends = []
    for name, phase in recipe.phases.items():
        spans = plan_spans(book.mix(name), phase.steps * phase.step_tokens, shards, {})
        write_pack(work / "mix" / name, context=phase.context, spans=spans, segments=cut_segments(spans, shards), shards=shards)
        step = recipe.start(name) + phase.steps
        write_step(work / "train" / name / "checkpoints" / f"step-{step:06d}", book, name, step)
        if phase.rebalance:
            write_begin(work / "train", book, name)
        row = {"step": step, "loss": 2.5, "z": 0.1, "lr": 0.01, "grad_norm": 1.5, "tokens": 256}
        for log, told in {"metrics.jsonl": row, "replay.jsonl": {"step": step}, "watch.jsonl": {"step": step}}.items():
            files.write_rows(work / "train" / name / log, [told])
        files.write_json(work / "evaluate" / name / "evaluation.json", evaluation(name, step))
        ends.append(end_of(recipe, name, work / "train" / name))
        export(ends[-1], recipe, work / "tokenizer", work / "export" / ends[-1].revision)
    place_index(book, work)
    write_contamination(work / "decontaminated", book)
    write_scores(work / "scored")
    write_figures(work / "figures")
    lineage, digests = write_lineage(root, recipe)
    return Inputs(
        book=book,
        root=root,
        ends=tuple(ends),
        exported=work / "export",
        shards=work / "shards",
        scored=work / "scored",
        text=work / "text",
        synthesize=work / "synthesize",
        index=work / "index",
        decontaminated=work / "decontaminated",
        figures=work / "figures",
        trained={p: work / "train" / p for p in recipe.phases},
        evaluated={p: work / "evaluate" / p for p in recipe.phases},
        mixes={p: work / "mix" / p for p in recipe.phases},
        digests=digests,
        lineage=lineage,
    )


def chain(recipe: Recipe) -> dict[str, list[str]]:
    """Every stage before the bundle, in order, and what it is made from; of a phase as `train@phase-01`."""
    made = {"sources": [], "raw": ["sources"], "clean": ["raw"], "synthesize": ["sources"], "dedup": ["clean", "synthesize"]}
    made |= {"scored": ["dedup"], "decontaminated": ["scored", "sources"], "tokenizer": ["decontaminated"]}
    made |= {"shards": ["decontaminated", "tokenizer"], "init": []}
    for name, phase in recipe.phases.items():
        before = f"train@{phase.after}" if phase.after in recipe.phases else "init"
        made |= {f"mix@{name}": ["shards"], f"train@{name}": [before, f"mix@{name}", "shards"]}
        made |= {f"evaluate@{name}": [f"train@{name}"]}
    of = {stage: [f"{stage}@{name}" for name in recipe.phases] for stage in ("mix", "train", "evaluate")}
    return made | {"index": ["shards", *of["mix"]], "export": ["tokenizer", *of["train"]], "figures": of["evaluate"]}


def write_lineage(root: Path, recipe: Recipe) -> tuple[dict[str, Path], dict[str, str]]:
    """Manifests and digests of all stages; those of the stages on text have counts as the stages sum them up."""
    layout, keys = Layout(root=root / "work" / "lineage", recipe=recipe.name), {"clean": "data.clean", "dedup": "data.dedup"}
    reasons = {"raw": "utf-8", "clean": "short", "dedup": "near", "decontaminated": "arc_easy"}
    paths, digests = dict[str, Path](), dict[str, str]()
    for target, origins in chain(recipe).items():
        stage, _, phase = target.partition("@")
        place = layout.stage(stage, phase or None)
        files.make_folder(place.data)
        summary: dict[str, object] = {}
        if stage in reasons:
            kept = [f"{n} of {stage}" for n in range(1500)]
            drops = write_drops(place.data, {"en/wiki": flow(kept, {reasons[stage]: [(str(n), "a") for n in range(len(stage))]})})
            summary = drops.summary() | ({"masked": {"en/wiki": {"email": 7}}} if stage == "clean" else {})
        asked = recipe.keys("data.synthesize") if stage == "synthesize" else recipe.keys(keys[stage]) if stage in keys else {}
        inputs = {name: digests[name] for name in origins}
        sealed = manifest.seal(place, layout, stage=stage, phase=phase or None, inputs=inputs, keys=asked, summary=summary)
        paths[target.replace("@", "/")], digests[target] = place.manifest, sealed.digest
    return paths, digests

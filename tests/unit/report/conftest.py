"""Facts of a build of the shipped recipe that nobody ran: every table filled, every number made up by rule."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from yulan.manifest import File, Manifest
from yulan.recipe import INIT, Book, load_recipe
from yulan.report.facts import (
    Agreement,
    Answer,
    Calibration,
    Count,
    Drop,
    Facts,
    Leak,
    Look,
    Outcome,
    Point,
    Refusal,
    Sample,
    Score,
    Share,
)

ROOT = Path(__file__).parents[3]


YIELDS = {
    "sums": {"questions": 4, "asked": 8, "kept": 5, "any": 1.0, "all": 0.5, "mean": 0.75, "verdicts": {"accepted": 5, "twin": 1}},
    "programs": {
        **dict.fromkeys(("questions", "asked", "kept", "any", "all", "mean"), 0),
        "verdicts": {},
        "skipped": "no sandbox",
    },
}


@pytest.fixture(scope="session")
def book() -> Book:
    return load_recipe(ROOT, "nano")


def looks(book: Book) -> Iterator[Look]:
    """Each twentieth step: the residual stream grows with depth, and the groups of weights differ."""
    recipe = book.recipe
    layers = [f"layer {index:02}" for index in range(recipe.model.layers)]
    groups = ["embed_tokens", "bias", *(f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")), "alpha", "norm"]
    for phase, section in recipe.phases.items():
        for step in range(recipe.start(phase) + 20, recipe.start(phase) + section.steps + 1, 20):
            for index, place in enumerate([*layers, "last norm"]):
                yield Look(phase=phase, step=step, what="hidden_rms", place=place, value=1 + index * step / 300)
            for index, place in enumerate(layers):
                yield Look(phase=phase, step=step, what="score_max", place=place, value=12 + index + math.sin(step))
            for index, place in enumerate(groups):
                yield Look(phase=phase, step=step, what="grad_norm", place=place, value=0.01 * (index + 1))
                yield Look(phase=phase, step=step, what="update_ratio", place=place, value=(index + 1) / step / 10)


@pytest.fixture(scope="session")
def facts(book: Book) -> Facts:
    recipe, families = book.recipe, {name: source.family for name, source in book.sources.sources.items()}
    curves = [
        Point(
            phase=name,
            step=recipe.start(name) + i,
            tokens=recipe.tokens_before(name) + i * phase.step_tokens,
            loss=3 + 5 * math.exp(-(recipe.start(name) + i) / 60) + math.sin(i) / 20,
            lr=0.02 if recipe.anneal(name) is None else 0.02 * (1 - i / phase.steps),
            grad_norm=1.5 + math.cos(i),
        )
        for name, phase in recipe.phases.items()
        for i in range(1, phase.steps + 1)
    ]
    held = sorted(set(families.values()))
    stages = ("raw", "clean", "dedup", "decontaminated", "train")
    counts = [
        Count(
            stage=stage, family=family, source=name, documents=900 - 100 * s, bytes=90_000 - 9_000 * s, tokens=20_000 * (s == 4)
        )
        for s, stage in enumerate(stages)
        for name, family in families.items()
        if not (stage in ("raw", "clean") and book.sources.sources[name].package is None)
    ]
    return Facts(
        mixes=tuple(
            Share(phase=phase, family=families[name], source=name, tokens=tokens)
            for phase in recipe.phases
            for name, tokens in book.mix(phase).quotas(recipe.phases[phase].tokens).items()
        ),
        curves=tuple(curves),
        looks=tuple(looks(book)),
        refused=(Refusal(phase="phase-02", step=203, why="loss"),),
        scores=tuple(
            Score(phase=name, family=family, before=3.5 - 0.2 * recipe.start(name) / 99, after=2.5 - recipe.start(name) / 999)
            for name in recipe.phases
            for family in held
        ),
        positions=(Score(phase="phase-03", family="positions 0000-0255", before=2.75, after=2.5),),
        answers=tuple(Answer(phase=name, task="arc_easy", metric="acc", value=0.25, stderr=0.043) for name in recipe.phases),
        counts=tuple(counts),
        drops=tuple(
            Drop(stage=stage, family=families["en/wiki"], source="en/wiki", reason=reason, documents=number)
            for stage, reason, number in (("clean", "too_short", 70), ("clean", "language", 30), ("dedup", "near", 100))
        ),
        leaks=tuple(
            Leak(benchmark="arc_easy", has=2946, searched=2942, by=by, part=part, items=items, documents=31, bytes=4321)
            for by, part, items in (("all", "", 30), ("kind", "ngram", 26), ("kind", "whole", 8), ("source", "qa/arc", 30))
        ),
        agreement=(Agreement(classifier="quality/summary", measure="auc", value=0.919),),
        outcomes=(
            Outcome(classifier="quality/summary", source="en/wiki", role="reference", outcome="score 5", documents=321),
            Outcome(classifier="topics/science", source="qa/csqa", role="against", outcome="taken", documents=123),
        ),
        calibration=(Calibration(classifier="quality/summary", low=0.9, documents=77, predicted=0.951, observed=0.962),),
        samples=(Sample(phase="phase-03", prompt="人工智能是", text="研究<b>与</b>科学。\n</script><script>x</script>"),),
    )


PACKED = {
    "packing": "whole",
    "tokens": 245_760,
    "padding": 1_264,
    "left_out": 1_263,
    "targets": 242_393,
    "cut_documents": 22,
    "truncated_targets": 3,
}


@pytest.fixture(scope="session")
def artifacts(book: Book) -> dict[str, Manifest]:
    """A graph with a fork and a join, as `dvc.yaml` draws it."""
    graph: dict[str, list[str]] = {"sources": [], "raw": ["sources"], "synthesize": ["sources"], "init": []}
    graph |= {"dedup": ["raw", "synthesize"], "shards": ["dedup", "sources"]}
    for name, phase in book.recipe.phases.items():
        before = [] if phase.after == INIT else [f"mix@{phase.after}"]
        graph[f"mix@{name}"] = ["shards", *before]
        graph[f"train@{name}"] = [f"mix@{name}", "shards", INIT if phase.after == INIT else f"train@{phase.after}"]
    graph["bundle"] = ["shards", *(f"train@{name}" for name in book.recipe.phases)]
    made: dict[str, Manifest] = {}
    for name, inputs in graph.items():
        stage, _, phase = name.partition("@")
        made[name] = Manifest(
            format=1,
            stage=stage,
            name=f"nano/{phase}" if phase else "nano",
            files=(File(path="a", size=1000 * len(name), sha256="0" * 64),),
            inputs={i: made[i].digest for i in inputs},
            keys={},
            summary=PACKED if stage == "mix" else {"families": YIELDS} if stage == "synthesize" else {},
            determinism=None,
        )
    return made

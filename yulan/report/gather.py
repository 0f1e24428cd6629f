"""Collect the numbers behind the pictures from the results of the stages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import files
from yulan.data.contamination import NAME as CONTAMINATION
from yulan.data.contamination import Part, read_contamination
from yulan.data.documents import read_documents, source_names
from yulan.data.drops import NAME as DROPS
from yulan.data.drops import read_drops
from yulan.data.pack import HEADER, read_header
from yulan.data.score.result import NAME as SCORES
from yulan.data.score.result import Scores, read_scores
from yulan.data.shard import INDEX, read_shards
from yulan.data.synthesize import INDEX as SYNTHETIC
from yulan.data.synthesize import KEPT, Families
from yulan.errors import DataError
from yulan.recipe import Book
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
    What,
)
from yulan.schema import check, load_json, structure

METRICS, WATCH, EVALUATION = "metrics.jsonl", "watch.jsonl", "evaluation.json"
LOOKS = 60
"""Of a phase, at most: a real one has hundreds of a hundred numbers each."""
TEXT = ("raw", "clean", "dedup", "decontaminated")


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """What is read of a stage's artifacts."""

    phases: bool
    """One artifact for each phase."""
    files: tuple[str, ...] | None
    """Null: all of them."""


READ = {
    **{stage: Read(phases=False, files=(DROPS,)) for stage in TEXT},
    "decontaminated": Read(phases=False, files=(DROPS, CONTAMINATION)),
    "scored": Read(phases=False, files=(SCORES,)),
    "synthesize": Read(phases=False, files=None),
    "shards": Read(phases=False, files=(INDEX,)),
    "mix": Read(phases=True, files=(HEADER,)),
    "train": Read(phases=True, files=(METRICS, WATCH)),
    "evaluate": Read(phases=True, files=None),
}


def gather(book: Book, data: Mapping[str, Path]) -> Facts:
    """`data`: the data folder of each artifact by name, `train@phase-01` and so on; a missing one leaves its tables short.

    Raises: DataError: a result breaks its schema.
    """
    families = {name: source.family for name, source in book.sources.sources.items()}
    phases = list(book.recipe.phases)

    def of_phases(stage: str) -> Iterator[tuple[str, Path]]:
        return ((phase, data[f"{stage}@{phase}"]) for phase in phases if f"{stage}@{phase}" in data)

    results = {phase: _evaluation(folder) for phase, folder in of_phases("evaluate")}
    judged = read_scores(data["scored"]) if "scored" in data else None
    flows = {stage: read_drops(data[stage]).sources for stage in TEXT if stage in data}
    return Facts(
        mixes=tuple(row for phase, folder in of_phases("mix") for row in _shares(phase, folder, families)),
        curves=tuple(row for phase, folder in of_phases("train") for row in _points(phase, folder)),
        looks=tuple(row for phase, folder in of_phases("train") for row in _looks(phase, folder)),
        refused=tuple(row for phase, folder in of_phases("train") for row in _refused(phase, folder)),
        scores=tuple(row for phase, result in results.items() for row in _scores(phase, result["held_out"])),
        positions=tuple(row for phase, result in results.items() for row in _scores(phase, result["by_position"])),
        answers=tuple(row for phase, result in results.items() for row in _answers(phase, result)),
        samples=tuple(row for phase, result in results.items() for row in _samples(phase, result)),
        counts=(
            *(
                Count(stage=stage, family=families[name], source=name, documents=flow.kept, bytes=flow.bytes, tokens=0)
                for stage, sources in flows.items()
                for name, flow in sources.items()
            ),
            *(_made(data["synthesize"], families) if "synthesize" in data else ()),
            *(_tokens(data["shards"], families) if "shards" in data else ()),
        ),
        drops=(
            *(_rejected(data["synthesize"], families) if "synthesize" in data else ()),
            *(
                Drop(stage=stage, family=families[name], source=name, reason=reason, documents=found.count)
                for stage, sources in flows.items()
                for name, flow in sources.items()
                for reason, found in flow.reasons.items()
            ),
        ),
        leaks=tuple(_leaks(data["decontaminated"])) if "decontaminated" in data else (),
        agreement=tuple(_agreement(judged)) if judged else (),
        outcomes=tuple(_outcomes(judged)) if judged else (),
        calibration=tuple(_calibration(judged)) if judged else (),
    )


def _leaks(folder: Path) -> Iterator[Leak]:
    for name, tested in read_contamination(folder).benchmarks.items():
        parts: dict[tuple[str, str], Part] = {("all", ""): tested.found}
        for by, rows in (("kind", tested.kinds), ("field", tested.fields), ("source", tested.sources)):
            parts |= {(by, part): found for part, found in rows.items()}
        for (by, part), found in parts.items():
            counts = {"items": found.items, "documents": found.documents, "bytes": found.bytes}
            yield Leak(benchmark=name, has=tested.items, searched=tested.searched, by=by, part=part, **counts)


def _shares(phase: str, folder: Path, families: Mapping[str, str]) -> Iterator[Share]:
    for name, span in read_header(folder).sources.items():
        if span.quota:
            yield Share(phase=phase, family=families[name], source=name, tokens=span.quota)


def _points(phase: str, folder: Path) -> Iterator[Point]:
    """Steps that updated the weights; what a skipped one had is in the log."""
    for number, row in enumerate(files.complete_rows(folder / METRICS), 1):
        check(row, "metrics", f"{folder / METRICS}:{number}", DataError)
        if not row["skipped"]:
            known = {key: row[key] for key in ("step", "tokens", "loss", "lr", "grad_norm")}
            yield Point(phase=phase, **known)


def _refused(phase: str, folder: Path) -> Iterator[Refusal]:
    for row in files.complete_rows(folder / METRICS):
        if row["skipped"] and row["why"] != "told":
            yield Refusal(phase=phase, step=row["step"], why=row["why"])


def _looks(phase: str, folder: Path) -> Iterator[Look]:
    """At most LOOKS of a phase, evenly spaced, its last one among them. What is not finite has no number."""
    rows = files.complete_rows(folder / WATCH)
    every = -(-len(rows) // LOOKS)
    for number, row in enumerate(rows, 1):
        check(row, "watch", f"{folder / WATCH}:{number}", DataError)
        if (len(rows) - number) % every:
            continue
        ends = [f"layer {index:02}" for index in range(len(row["score_max"]))]
        seen: list[tuple[What, str, float | None]] = [
            *(("hidden_rms", place, value) for place, value in zip([*ends, "last norm"], row["hidden_rms"], strict=False)),
            *(("score_max", place, value) for place, value in zip(ends, row["score_max"], strict=True)),
        ]
        for group, told in (row["groups"] or {}).items():
            seen += [("grad_norm", group, told["grad_norm"]), ("update_ratio", group, told["update_ratio"])]
        for what, place, value in seen:
            if value is not None:
                yield Look(phase=phase, step=row["step"], what=what, place=place, value=value)


def _evaluation(folder: Path) -> dict[str, Any]:
    raw: dict[str, Any] = load_json(folder / EVALUATION)
    check(raw, "evaluation", folder / EVALUATION, DataError)
    return raw


def _scores(phase: str, scores: Mapping[str, Any]) -> Iterator[Score]:
    for family, found in scores.items():
        yield Score(phase=phase, family=family, before=found["before"], after=found["bits_per_byte"])


def _answers(phase: str, evaluation: Mapping[str, Any]) -> Iterator[Answer]:
    for task, found in evaluation["tasks"].items():
        yield Answer(phase=phase, task=task, metric=found["metric"], value=found["value"], stderr=found["stderr"])


def _samples(phase: str, evaluation: Mapping[str, Any]) -> Iterator[Sample]:
    for found in evaluation["generations"]:
        yield Sample(phase=phase, prompt=found["prompt"], text=found["text"])


def _agreement(judged: Scores) -> Iterator[Agreement]:
    for name, report in judged.classifiers.items():
        for measure in ("auc", "brier", "precision", "recall", "seen", "unseen"):
            if (value := getattr(report, measure)) is not None:
                yield Agreement(classifier=name, measure=measure, value=value)
        if (labels := report.labelled) is not None:
            for measure in ("equal", "within_one", "kappa"):
                if (value := getattr(labels, measure)) is not None:
                    yield Agreement(classifier=name, measure=f"labels_{measure}", value=value)


def _outcomes(judged: Scores) -> Iterator[Outcome]:
    for name, report in judged.classifiers.items():
        kinds = ("left", "taken") if report.kind == "topic" else tuple(f"score {score}" for score in (1, 2, 3, 4, 5))
        for source, drawn in report.drawn.items():
            for kind, documents in zip(kinds, drawn.outcome, strict=True):
                yield Outcome(classifier=name, source=source, role=drawn.role, outcome=kind, documents=documents)


def _calibration(judged: Scores) -> Iterator[Calibration]:
    for name, report in judged.classifiers.items():
        for each in report.bins:
            yield Calibration(
                classifier=name, low=each.low, documents=each.documents, predicted=each.predicted, observed=each.observed
            )


def _made(folder: Path, families: Mapping[str, str]) -> Iterator[Count]:
    """What `synthesize` hands on; a few rows, so they are counted where they lie."""
    for name in source_names(folder):
        texts = [text for _, part in read_documents(folder, name) for text in part]
        size = sum(len(text.encode()) for text in texts)
        yield Count(stage="synthesize", family=families[name], source=name, documents=len(texts), bytes=size, tokens=0)


def _rejected(folder: Path, families: Mapping[str, str]) -> Iterator[Drop]:
    for name, made in structure(load_json(folder / SYNTHETIC), Families).families.items():
        for verdict, rows in made.verdicts.items():
            if verdict not in KEPT:
                source = f"synthetic/{name}"
                yield Drop(stage="synthesize", family=families[source], source=source, reason=verdict, documents=rows)


def _tokens(folder: Path, families: Mapping[str, str]) -> Iterator[Count]:
    for name, source in read_shards(folder).sources.items():
        for stage, split in (("train", source.train), ("held", source.held)):
            about = {"documents": split.documents, "bytes": split.bytes, "tokens": split.tokens}
            yield Count(stage=stage, family=families[name], source=name, **about)

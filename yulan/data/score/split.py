"""Split sources by what their documents are like: topics first, then scores from 1 to 5 (yulan/recipe/scoring.py).

What a score says is likeness to the reference sources as a classifier sees it, not a person's judgement. Every document
goes on, to one path; its columns `score`, `probability` and `topic` say why there.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from yulan import digest, files
from yulan.data import frames
from yulan.data.documents import source_names
from yulan.data.partitions import PART, Partition, Partitions, passing
from yulan.data.score.classifier import Classifier, write_classifier
from yulan.data.score.draw import draw
from yulan.data.score.judge import RETURNS, Judge
from yulan.data.score.labels import Label, agreement, read_labels
from yulan.data.score.result import MEANING, NAME, Held, Report, Scores
from yulan.data.score.train import train
from yulan.errors import DataError
from yulan.recipe.scoring import SCORES, Score, scored
from yulan.schema import plain, structure

DIGITS = 6
KNOWN = ("learned", "others")
"""Documents that a classifier's weights were learned from, and those it had not seen."""
CLASSIFIERS = "classifiers"


@dataclass(kw_only=True, slots=True)
class Seen:
    """What judging every document adds to a classifier's report."""

    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KNOWN, 0.0))
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KNOWN, 0))
    pairs: list[tuple[int, int]] = field(default_factory=list)
    used: list[Label] = field(default_factory=list)
    decided: int = 0

    def add(self, told: Mapping[str, Any]) -> None:
        """`told` is a row of `_measured`, or of `_label`, in the order of parts: sums of floats depend on it."""
        for which in KNOWN:
            self.sums[which] += told[which]["sum"]
            self.counts[which] += told[which]["count"]
        self.pairs += [(one, other) for one, other in told.get("pairs", ())]
        self.used += [structure(each, Label) for each in told.get("used", ())]
        self.decided += told.get("decided", 0)

    def mean(self, which: str) -> float | None:
        return round(self.sums[which] / self.counts[which], DIGITS) if self.counts[which] else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """What each part of a source is judged by."""

    rules: Score
    classifiers: Mapping[str, Classifier]
    ids: Mapping[str, frozenset[str]]
    """Documents that weights were learned from, by classifier."""
    labels: Mapping[str, Mapping[str, Label]]

    def digests(self, folder: Path) -> dict[str, str]:
        """Of all that a part's paths and figures depend on, but for the rules; the classifiers lie in `folder`."""
        written = {path.relative_to(folder).as_posix(): digest.of_file(path) for path in folder.rglob("*") if path.is_file()}
        known = {name: sorted(ids) for name, ids in self.ids.items()}
        labels = {name: plain(tuple(rows.values())) for name, rows in self.labels.items()}
        return {"classifiers": digest.of_json(written), "learned": digest.of_json(known), "labels": digest.of_json(labels)}


def score(
    rules: Score, recipe: Path, folder: Path, into: Path, partitions: Partitions | None = None, *, wanted: Collection[str] = ()
) -> Scores:
    """Judge the documents below `folder`, one plan per part; sources that nothing splits are linked as they are.

    `recipe`: its folder, for labels. `wanted`: paths that mixes take from.
    Raises: DataError: too few documents to learn from, or a wanted path stays empty.
    """
    if partitions is None:
        with passing(into) as passed:
            return score(rules, recipe, folder, into, passed, wanted=wanted)
    learned, reports = _learn(rules, recipe, folder, into)
    seen = {name: Seen() for name in reports}
    sources = {}
    for name in source_names(folder):
        if name in rules.split:
            sources[name] = _split(name, learned, seen, folder, into, partitions)
        else:
            for part in frames.parts(folder, name):
                # What a kill left there goes: a link does not replace a file.
                files.remove(into / name / part.name)
                files.link(part, into / name / part.name)
    for path in sorted(wanted):
        source = next((name for name in sources if path in rules.paths(name)), None)
        if source is not None and not sources[source][path].documents:
            raise DataError(
                f"no document of {source} ends in {path}, which a mix takes from",
                where="$.data.score",
                cure="Move the cuts or the threshold, or take the path out of the mix",
            )
    whole = {name: _told(report, seen[name]) for name, report in reports.items()}
    found = Scores(format=1, meaning=MEANING, classifiers=whole, sources=sources)
    files.write_json(into / NAME, plain(found))
    return found


def _learn(rules: Score, recipe: Path, folder: Path, into: Path) -> tuple[Learned, dict[str, Report]]:
    made, reports, ids = {}, {}, {}
    named = {f"topics/{name}": topic for name, topic in rules.topics.items()}
    for name, rule in sorted((named | {f"quality/{name}": quality for name, quality in rules.quality.items()}).items()):
        shown = draw(folder, name, rule, rules)
        made[name], reports[name] = train(name, rule, shown, rules.features)
        ids[name] = frozenset(each.id for each in shown if each.fold == "train")
        write_classifier(into / CLASSIFIERS / name, made[name])
    labels = {name: read_labels(recipe, quality.labels) for name, quality in rules.quality.items() if quality.labels is not None}
    return Learned(rules=rules, classifiers=made, ids=ids, labels=labels), reports


def _split(
    name: str, learned: Learned, seen: Mapping[str, Seen], folder: Path, into: Path, partitions: Partitions
) -> dict[str, Held]:
    """Judge a source. Returns: what went to each of its paths."""
    parts, known = frames.parts(folder, name), learned.digests(into / CLASSIFIERS)
    wanted = [
        Partition(
            name=f"{name}/{part.stem}",
            inputs={"part": digest.of_file(part), **known},
            work=partial(_split_part, part, name, learned),
        )
        for part in parts
    ]
    documents, sizes = Counter[str](), Counter[str]()
    for part, made in zip(parts, partitions.make(wanted), strict=True):
        for path, held in made.summary["paths"].items():
            documents[path] += held["documents"]
            sizes[path] += held["bytes"]
            frames.link(made.data / path / PART, into / path / part.name)
        for told in made.summary["seen"]:
            seen[told["classifier"]].add(told)
    return {path: Held(documents=documents[path], bytes=sizes[path]) for path in learned.rules.paths(name)}


def _split_part(part: Path, name: str, learned: Learned, into: Path) -> dict[str, Any]:
    judge = Judge(name, learned.rules, learned.classifiers)
    table = frames.each([part], judge, RETURNS)
    told = [_measured(f"topics/{topic}", table, "topic", learned) for topic in judge.topics]
    table, compared = _label(table, judge, learned)
    held = {}
    for path in sorted(set(table["path"].to_pylist())):
        rows = table.filter(pc.equal(table["path"], path))
        held[path] = {"documents": len(rows), "bytes": pc.sum(pc.binary_length(rows["text"])).as_py()}
        rows = rows.drop_columns(["source"]).rename_columns({"path": "source"})
        frames.write_part(into / path / PART, rows.select([*frames.DOCUMENTS.names, "score", "probability", "topic"]))
    return {"paths": held, "seen": [*told, *compared]}


def _measured(classifier: str, table: pa.Table, column: str, learned: Learned) -> dict[str, Any]:
    """Sum and number of a column's values, of documents that weights were learned from and of the others."""
    known = np.array([identity in learned.ids[classifier] for identity in table["id"].to_pylist()], bool)
    values = np.array([np.nan if each is None else each for each in table[column].to_pylist()], float)
    here = {which: values[(known == (which == "learned")) & ~np.isnan(values)] for which in KNOWN}
    return {"classifier": classifier, **{which: {"sum": float(each.sum()), "count": len(each)} for which, each in here.items()}}


def _label(table: pa.Table, judge: Judge, learned: Learned) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Compare with another judge's scores, and go by them where the recipe says so."""
    paths, told = table["path"].to_pylist(), []
    for base in judge.quality:
        name = learned.rules.quality_of(base) or ""
        quality, labels = learned.rules.quality[name], learned.labels.get(name, {})
        own = {scored(base, each): each for each in SCORES}
        rows = [row for row, path in enumerate(paths) if path in own]
        found = _measured(f"quality/{name}", table.take(pa.array(rows, pa.int64())), "probability", learned)
        pairs, used, decided = [], [], 0
        for row in rows if quality.labels is not None else ():
            label = labels.get(table["id"][row].as_py())
            if label is not None:
                pairs.append((label.score, own[paths[row]]))
                used.append(label)
                if quality.labels is not None and quality.labels.override:
                    decided += label.score != own[paths[row]]
                    paths[row] = scored(base, label.score)
        told.append(found | {"pairs": pairs, "used": plain(tuple(used)), "decided": decided})
    return table.set_column(table.schema.get_field_index("path"), "path", pa.array(paths, pa.string())), told


def _told(report: Report, seen: Seen) -> Report:
    labelled = agreement(seen.pairs, seen.decided, seen.used)
    return replace(report, seen=seen.mean("learned"), unseen=seen.mean("others"), labelled=labelled)

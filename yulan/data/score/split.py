"""Split sources by what their documents are like: topics first, then scores from 1 to 5 (yulan/recipe/scoring.py).

What a score says is likeness to the reference sources as a classifier sees it, not a person's judgement. Every document
goes on, to one path; its columns `score`, `probability` and `topic` say why there.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from yulan import files
from yulan.data import frames
from yulan.data.documents import source_names
from yulan.data.score.classifier import Classifier, write_classifier
from yulan.data.score.draw import draw
from yulan.data.score.judge import RETURNS, Judge
from yulan.data.score.labels import Label, agreement, read_labels
from yulan.data.score.result import MEANING, NAME, Held, Report, Scores
from yulan.data.score.train import train
from yulan.errors import DataError
from yulan.recipe.scoring import Score, scored
from yulan.schema import plain

DIGITS = 6


@dataclass(kw_only=True, slots=True)
class Seen:
    """What judging every document adds to a classifier's report."""

    learned: frozenset[str]
    """Ids that weights were learned from."""
    sums: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})
    counts: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    pairs: list[tuple[int, int]] = field(default_factory=list)
    used: list[Label] = field(default_factory=list)
    decided: int = 0

    def add(self, table: pa.Table, column: str) -> None:
        known = np.array([identity in self.learned for identity in table["id"].to_pylist()], bool)
        values = np.array([np.nan if each is None else each for each in table[column].to_pylist()], float)
        for which in (True, False):
            here = values[(known == which) & ~np.isnan(values)]
            self.sums[which] += float(here.sum())
            self.counts[which] += len(here)

    def mean(self, which: bool) -> float | None:
        return round(self.sums[which] / self.counts[which], DIGITS) if self.counts[which] else None


def score(rules: Score, recipe: Path, folder: Path, into: Path, *, wanted: Collection[str] = ()) -> Scores:
    """Judge the documents below `folder`; sources that nothing splits are linked as they are.

    `recipe`: its folder, for labels. `wanted`: paths that mixes take from.
    Raises: DataError: too few documents to learn from, or a wanted path stays empty.
    """
    made, reports, seen = _learn(rules, folder, into)
    labels = {name: read_labels(recipe, quality.labels) for name, quality in rules.quality.items() if quality.labels is not None}
    sources = {}
    for name in source_names(folder):
        if name in rules.split:
            sources[name] = _split(name, rules, made, seen, labels, folder, into)
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


def _learn(rules: Score, folder: Path, into: Path) -> tuple[dict[str, Classifier], dict[str, Report], dict[str, Seen]]:
    made, reports, seen = {}, {}, {}
    named = {f"topics/{name}": topic for name, topic in rules.topics.items()}
    for name, rule in sorted((named | {f"quality/{name}": quality for name, quality in rules.quality.items()}).items()):
        shown = draw(folder, name, rule, rules)
        made[name], reports[name] = train(name, rule, shown, rules.features)
        seen[name] = Seen(learned=frozenset(each.id for each in shown if each.fold == "train"))
        write_classifier(into / "classifiers" / name, made[name])
    return made, reports, seen


def _split(
    name: str,
    rules: Score,
    made: Mapping[str, Classifier],
    seen: Mapping[str, Seen],
    labels: Mapping[str, Mapping[str, Label]],
    folder: Path,
    into: Path,
) -> dict[str, Held]:
    """Judge a source part by part, each in one plan. Returns: what went to each of its paths."""
    judge = Judge(name, rules, made)
    documents, sizes = Counter[str](), Counter[str]()
    for part in frames.parts(folder, name):
        table = frames.each([part], judge, RETURNS)
        for topic in judge.topics:
            seen[f"topics/{topic}"].add(table, "topic")
        table = _label(table, rules, seen, labels, judge)
        for path in sorted(set(table["path"].to_pylist())):
            rows = table.filter(pc.equal(table["path"], path))
            documents[path] += len(rows)
            sizes[path] += pc.sum(pc.binary_length(rows["text"])).as_py()
            rows = rows.drop_columns(["source"]).rename_columns({"path": "source"})
            frames.write_part(into / path / part.name, rows.select([*frames.DOCUMENTS.names, "score", "probability", "topic"]))
    return {path: Held(documents=documents[path], bytes=sizes[path]) for path in rules.paths(name)}


def _label(
    table: pa.Table, rules: Score, seen: Mapping[str, Seen], labels: Mapping[str, Mapping[str, Label]], judge: Judge
) -> pa.Table:
    """Compare with another judge's scores, and go by them where the recipe says so."""
    paths = table["path"].to_pylist()
    for base in judge.quality:
        name = rules.quality_of(base)
        quality = rules.quality[name or ""]
        own = {scored(base, each): each for each in (1, 2, 3, 4, 5)}
        rows = [row for row, path in enumerate(paths) if path in own]
        told = seen[f"quality/{name}"]
        told.add(table.take(pa.array(rows, pa.int64())), "probability")
        if quality.labels is None:
            continue
        for row in rows:
            label = labels[name or ""].get(table["id"][row].as_py())
            if label is not None:
                told.pairs.append((label.score, own[paths[row]]))
                told.used.append(label)
                if quality.labels.override:
                    told.decided += label.score != own[paths[row]]
                    paths[row] = scored(base, label.score)
    return table.set_column(table.schema.get_field_index("path"), "path", pa.array(paths, pa.string()))


def _told(report: Report, seen: Seen) -> Report:
    labelled = agreement(seen.pairs, seen.decided, seen.used)
    return replace(report, seen=seen.mean(True), unseen=seen.mean(False), labelled=labelled)

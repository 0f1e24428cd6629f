"""The documents that a classifier is shown, and the part of each: pure functions of ids, so equal on any machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from yulan.data.documents import read_documents
from yulan.data.score.result import Role
from yulan.errors import DataError
from yulan.recipe.scoring import Folds, Quality, Score, Topic

Fold = Literal["train", "calibrate", "test"]
FOLDS: tuple[Fold, ...] = ("train", "calibrate", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One document as a classifier is shown it."""

    id: str
    text: str
    source: str
    role: Role
    fold: Fold


def fold_of(identity: str, folds: Folds) -> Fold:
    """The part a document is in; other digits of the id than those that keep it from training (data.shards.held_out)."""
    number = int(identity[8:16], 16) % 1000
    return "test" if number < folds.test else "calibrate" if number < folds.test + folds.calibrate else "train"


def draw(folder: Path, name: str, rule: Topic | Quality, rules: Score) -> list[Shown]:
    """What the classifier `name` is shown of the documents below `folder`: positives first, each source in id order.

    Raises: DataError: a source has no document, or a side too few in a fold.
    """
    pool = sorted({rules.root(path) for path in rule.sources})
    sides: tuple[tuple[Role, list[str]], ...] = (
        ("reference", sorted(rule.reference)),
        ("against", sorted(rule.against)),
        ("pool", pool),
    )
    shown = [
        Shown(id=identity, text=text, source=source, role=role, fold=fold_of(identity, rules.folds))
        for role, sources in sides
        for source in sources
        for identity, text in _first(folder, source, rule.draw, name)
    ]
    for fold in FOLDS:
        for side, positive in (("reference", True), ("negative", False)):
            count = sum(each.fold == fold and (each.role == "reference") == positive for each in shown)
            if count < rules.folds.least:
                raise DataError(
                    f"only {count} {side} documents to {fold} on, {rules.folds.least} are the least",
                    where=f"$.data.score.{name.replace('/', '.', 1)}",
                    cure="Raise draw, name more sources, or lower $.data.score.folds.least",
                )
    return shown


def _first(folder: Path, source: str, most: int, name: str) -> Iterator[tuple[str, str]]:
    rows = ((i, text) for ids, texts in read_documents(folder, source) for i, text in zip(ids, texts, strict=True))
    found = list(islice(rows, most))
    if not found:
        raise DataError(
            f"no document of {source} is there for {name}",
            where=folder / source,
            cure="Loosen what dropped them ($.data.clean, $.data.dedup), or take the source out of $.data.score",
        )
    yield from found

"""scores.json: how text was judged, how far that agrees with what is known, and where the documents went."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yulan.schema import read_json

NAME = "scores.json"
MEANING = "likeness to the reference sources as a classifier sees it, not a person's judgement"
Role = Literal["reference", "against", "pool"]
Kind = Literal["topic", "quality"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """What a classifier was shown of one source."""

    role: Role
    train: int
    """Documents that weights were learned from."""
    calibrate: int
    """Documents that probabilities and cuts were fitted on."""
    test: int
    """Documents that nothing was fitted on."""
    outcome: tuple[int, ...]
    """Test documents by outcome: scores 1 to 5; of a topic, those left and those taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Test documents whose probability lies in a tenth; both sides weigh half."""

    low: float
    """Lowest probability."""
    documents: int
    predicted: float
    """Mean probability."""
    observed: float
    """Share that is of the reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """Scores of another judge beside the classifier's."""

    documents: int
    equal: float
    """Share of them with the same score."""
    within_one: float
    """Share of them with the same score or the next."""
    kappa: float | None
    """Cohen's kappa with quadratic weights; null: one of the judges gives everything the same score."""
    table: tuple[tuple[int, ...], ...]
    """Documents by the other judge's score (rows) and the classifier's (columns)."""
    decided: int
    """Documents that went where the other judge says, against the classifier."""
    models: tuple[str, ...]
    """Digests of the models that judged."""
    prompts: tuple[str, ...]
    """Digests of the prompts that they were asked with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One classifier on documents that it did not learn from."""

    kind: Kind
    auc: float
    """Probability that a document of the reference is ranked above another; one half is chance."""
    brier: float
    """Mean squared error of the probability, both sides weighing half; a quarter is chance."""
    precision: float | None
    """Of the test documents above a topic's threshold, the share that is of the reference; null for quality."""
    recall: float | None
    """Of the reference's test documents, the share above a topic's threshold; null for quality."""
    drawn: Mapping[str, Drawn]
    """By source."""
    bins: tuple[Bin, ...]
    """Tenths of the probability that hold a document."""
    seen: float | None
    """Mean probability of the split sources' documents that weights were learned from; null: there are none."""
    unseen: float | None
    """Mean probability of their other documents."""
    labelled: Labelled | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What went to a path."""

    documents: int
    bytes: int
    """UTF-8 bytes of text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The file."""

    format: int
    meaning: str
    """What a score is."""
    classifiers: Mapping[str, Report]
    """By kind and name, `quality/summary`."""
    sources: Mapping[str, Mapping[str, Held]]
    """By source that was split, then by path."""

    def summary(self) -> dict[str, object]:
        """Figures for a manifest."""
        measured = ("auc", "brier", "precision", "recall")
        return {
            "meaning": self.meaning,
            "classifiers": {
                name: {key: value for key in measured if (value := getattr(report, key)) is not None}
                for name, report in self.classifiers.items()
            },
            "paths": {path: held.documents for paths in self.sources.values() for path, held in paths.items()},
        }


def read_scores(folder: Path) -> Scores:
    """Raises: DataError: no such file, or it breaks its schema."""
    return read_json(folder / NAME, "scores", Scores)

"""Where each document of a source goes: a function of its text, by the classifiers of that source."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from yulan.data.score.classifier import Classifier, vectors
from yulan.recipe.scoring import Score, scored, topical

RETURNS = pa.schema(
    [("path", pa.string()), ("score", pa.int64()), ("probability", pa.float64()), ("topic", pa.float64())],
)
"""The path; the score by the classifier and the probability behind it, null where none scores; the likeliest topic's."""
DIGITS = 6


class Judge:
    """Called with a batch of texts of one source."""

    def __init__(self, source: str, rules: Score, made: Mapping[str, Classifier]) -> None:
        self.source, self.rules = source, rules
        self.topics = {name: made[f"topics/{name}"] for name in rules.topics_of(source)}
        paths = (source, *(topical(source, name) for name in self.topics))
        self.quality = {path: made[f"quality/{name}"] for path in paths if (name := rules.quality_of(path)) is not None}

    def __call__(self, texts: Sequence[str]) -> dict[str, list[Any]]:
        """Columns of RETURNS."""
        if not texts:
            return {name: [] for name in RETURNS.names}
        rows = vectors(texts, self.rules.features)
        likeliest, taken = np.full(len(texts), -1.0), np.full(len(texts), self.source, object)
        best = np.full(len(texts), -1.0)
        for name, topic in self.topics.items():
            margins = topic.line.margins(rows)
            probable = topic.probabilities(margins)
            likeliest = np.maximum(likeliest, probable)
            # Of two topics that are equally likely, the name that sorts first has come first.
            won = (topic.outcomes(margins) > 0) & (probable > best)
            taken[won], best[won] = topical(self.source, name), probable[won]
        paths, scores, probabilities = taken.tolist(), [None] * len(texts), [None] * len(texts)
        for path, quality in self.quality.items():
            here = np.flatnonzero(taken == path)
            margins = quality.line.margins(rows[here])
            outcomes, found = quality.outcomes(margins) + 1, quality.probabilities(margins).round(DIGITS)
            for row, score, probability in zip(here.tolist(), outcomes.tolist(), found.tolist(), strict=True):
                paths[row], scores[row], probabilities[row] = scored(path, score), score, probability
        topic_column = likeliest.round(DIGITS).tolist() if self.topics else [None] * len(texts)
        return {"path": paths, "score": scores, "probability": probabilities, "topic": topic_column}

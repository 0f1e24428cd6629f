"""Train one classifier, calibrate it, cut its scale, and measure it on documents that none of this has seen."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import vstack
from sklearn.metrics import roc_auc_score

from yulan.data.score.classifier import (
    Classifier,
    Header,
    Line,
    Numbers,
    calibrate,
    learn,
    on_grid,
    vectors,
    weights_digest,
)
from yulan.data.score.draw import FOLDS, Shown
from yulan.data.score.result import Bin, Drawn, Report
from yulan.recipe.scoring import Features, Quality, Topic

BATCH = 1024
TENTHS = 10
DIGITS = 6
"""Of figures in reports: what follows is a processor's own."""


def train(name: str, rule: Topic | Quality, shown: Sequence[Shown], features: Features) -> tuple[Classifier, Report]:
    """`name`: kind and name, `quality/summary`. `shown`: as `draw` gives it.

    Raises: DataError: the fit does not settle, or does not tell the sides apart.
    """
    where = f"$.data.score.{name.replace('/', '.', 1)}"
    texts = [each.text for each in shown]
    rows = vstack([vectors(texts[start : start + BATCH], features) for start in range(0, len(texts), BATCH)], format="csr")
    positive = np.array([each.role == "reference" for each in shown])
    fold = {name: np.array([each.fold == name for each in shown]) for name in FOLDS}
    line = learn(rows[fold["train"]], positive[fold["train"]], rule.c, where)
    margins = line.margins(rows)
    slope, offset = calibrate(margins[fold["calibrate"]], positive[fold["calibrate"]], where)
    pool = np.array([each.role == "pool" for each in shown]) & fold["calibrate"]
    header = Header(
        format=1,
        kind="topic" if isinstance(rule, Topic) else "quality",
        name=name.partition("/")[2],
        features=features,
        intercept=line.intercept,
        slope=slope,
        offset=offset,
        cuts=_cuts(rule, margins[pool], slope, offset),
        weights=weights_digest(line.weights),
    )
    made = Classifier(header=header, line=Line(weights=line.weights, intercept=line.intercept))
    return made, _report(made, shown, margins, fold["test"], positive)


def _cuts(rule: Topic | Quality, pool: Numbers, slope: float, offset: float) -> tuple[float, ...]:
    """As margins."""
    if isinstance(rule, Quality) and rule.cuts.by == "share":
        found = np.quantile(pool, rule.cuts.at, method="inverted_cdf").tolist()
    else:
        wanted = (rule.threshold,) if isinstance(rule, Topic) else rule.cuts.at
        found = [(math.log(p / (1 - p)) - offset) / slope for p in wanted]
    return tuple(on_grid(cut) for cut in found)


def _report(
    made: Classifier,
    shown: Sequence[Shown],
    margins: Numbers,
    test: npt.NDArray[np.bool_],
    positive: npt.NDArray[np.bool_],
) -> Report:
    outcomes, chosen = made.outcomes(margins), positive[test]
    probabilities = made.probabilities(margins[test])
    weights = np.where(chosen, 0.5 / chosen.sum(), 0.5 / (~chosen).sum())
    taken, topic = outcomes[test] > 0, made.header.kind == "topic"
    right = int((taken & chosen).sum())
    return Report(
        kind=made.header.kind,
        auc=round(float(roc_auc_score(chosen, margins[test])), DIGITS),
        brier=round(float(np.sum(weights * (probabilities - chosen) ** 2)), DIGITS),
        precision=round(right / max(int(taken.sum()), 1), DIGITS) if topic else None,
        recall=round(right / int(chosen.sum()), DIGITS) if topic else None,
        drawn=_drawn(shown, outcomes, len(made.header.cuts) + 1),
        bins=_bins(probabilities, chosen, weights),
        seen=None,
        unseen=None,
        labelled=None,
    )


def _drawn(shown: Sequence[Shown], outcomes: npt.NDArray[np.int64], kinds: int) -> dict[str, Drawn]:
    found = {}
    for source, role in dict.fromkeys((each.source, each.role) for each in shown):
        here = [row for row, each in enumerate(shown) if each.source == source]
        count = {fold: sum(shown[row].fold == fold for row in here) for fold in FOLDS}
        tested = outcomes[[row for row in here if shown[row].fold == "test"]]
        outcome = tuple(np.bincount(tested, minlength=kinds).tolist())
        found[source] = Drawn(role=role, train=count["train"], calibrate=count["calibrate"], test=count["test"], outcome=outcome)
    return found


def _bins(probabilities: Numbers, positive: npt.NDArray[np.bool_], weights: Numbers) -> tuple[Bin, ...]:
    tenth = np.minimum((probabilities * TENTHS).astype(int), TENTHS - 1)
    found = []
    for number in range(TENTHS):
        here = tenth == number
        if here.any():
            share = weights[here] / weights[here].sum()
            found.append(
                Bin(
                    low=number / TENTHS,
                    documents=int(here.sum()),
                    predicted=round(float(np.sum(share * probabilities[here])), DIGITS),
                    observed=round(float(np.sum(share * positive[here])), DIGITS),
                )
            )
    return tuple(found)

"""A linear classifier over hashed runs of words, calibrated; without pickle: classifier.json beside classifier.safetensors.

scikit-learn fits it: logistic regression by dual coordinate descent (liblinear), which adds in a fixed order on one thread
and calls no BLAS. Weights, and the figures fitted on held-out documents, are then rounded to multiples of 2^-20: what is
left of a processor's own rounding is far below. Which score a document gets is a comparison of margins, sums of such weights.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from yulan import digest, files
from yulan.data.score.result import Kind
from yulan.data.words import words
from yulan.errors import DataError, IntegrityError
from yulan.recipe.scoring import Features
from yulan.schema import check, load_json, plain, structure

GRID = float(1 << 20)
ROUNDS = 2000
TOLERANCE = 1e-6
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """The JSON half."""

    format: int
    kind: Kind
    name: str
    features: Features
    intercept: float
    """Added to the sum of a text's weights; the sum is its margin."""
    slope: float
    """Of the logistic curve from margin to probability; above 0."""
    offset: float
    """Of the same curve: probability = 1 / (1 + exp(-(slope * margin + offset)))."""
    cuts: tuple[float, ...]
    """Rising margins where the next outcome begins: scores 2 to 5, or what a topic takes."""
    weights: str
    """sha256 of the other half, float64 (buckets) under the name `weights`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Weights and intercept: what is learned before anything is calibrated."""

    weights: Numbers
    """(buckets)"""
    intercept: float

    def margins(self, vectors: csr_matrix) -> Numbers:
        """Above 0: more like the reference. (texts)"""
        found: Numbers = vectors @ self.weights + self.intercept
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    header: Header
    line: Line

    def probabilities(self, margins: Numbers) -> Numbers:
        """Of being from the reference, where half of all documents are. (texts)"""
        return logistic(self.header.slope * margins + self.header.offset)

    def outcomes(self, margins: Numbers) -> npt.NDArray[np.int64]:
        """How many cuts each text reaches: score - 1, or whether a topic takes it. (texts)"""
        return np.searchsorted(np.asarray(self.header.cuts), margins, side="right").astype(np.int64)


def vectors(texts: Sequence[str], features: Features) -> csr_matrix:
    """Counts of hashed runs of words, each row of length 1; float64 (texts, buckets)."""
    made = HashingVectorizer(
        n_features=features.buckets,
        ngram_range=(1, features.words),
        tokenizer=words,
        token_pattern=None,
        lowercase=False,
        alternate_sign=False,
    )
    found: csr_matrix = made.transform([text[: features.chars] for text in texts])
    return found


def logistic(values: Numbers) -> Numbers:
    with np.errstate(over="ignore"):
        found: Numbers = 1.0 / (1.0 + np.exp(-values))
    return found


def on_grid(value: float) -> float:
    return round(value * GRID) / GRID


def learn(shown: csr_matrix, positive: npt.NDArray[np.bool_], c: float, where: str) -> Line:
    """Weights that tell positives apart; both sides weigh the same in all. Equal rows in equal order give equal bits.

    Raises: DataError: the fit does not settle.
    """
    model = LogisticRegression(
        C=c, solver="liblinear", dual=True, tol=TOLERANCE, max_iter=ROUNDS, random_state=0, class_weight="balanced"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(shown, positive)
        except ConvergenceWarning:
            raise DataError(f"not settled after {ROUNDS} rounds", where=where, cure="Lower its c") from None
    return Line(weights=np.round(model.coef_[0] * GRID) / GRID, intercept=on_grid(float(model.intercept_[0])))


def calibrate(margins: Numbers, positive: npt.NDArray[np.bool_], where: str) -> tuple[float, float]:
    """Slope and offset of Platt's curve, with his smoothed targets; both sides weigh the same in all.

    Raises: DataError: a higher margin does not make the reference likelier.
    """
    counts = np.where(positive, positive.sum(), (~positive).sum())
    target = np.where(positive, (counts + 1) / (counts + 2), 1 / (counts + 2))
    # A row with a soft target is two rows: one of each kind, weighted by it.
    weights = np.concatenate([target / counts, (1 - target) / counts]) * len(margins) / 2
    kinds = np.repeat([True, False], len(margins))
    slope = offset = 0.0
    if np.ptp(margins) > 0:
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=ROUNDS)
        model.fit(np.tile(margins, 2)[:, None], kinds, sample_weight=weights)
        slope, offset = on_grid(float(model.coef_[0, 0])), on_grid(float(model.intercept_[0]))
    if slope <= 0:
        raise DataError(
            "the classifier does not tell the reference from the pool",
            where=where,
            cure="Choose a reference that differs from the pool, or draw more documents",
        )
    return slope, offset


def write_classifier(folder: Path, made: Classifier) -> None:
    files.write_bytes(folder / "classifier.safetensors", save({"weights": made.line.weights}))
    files.write_json(folder / "classifier.json", plain(made.header))


def weights_digest(weights: Numbers) -> str:
    """sha256 of the file that holds them."""
    return digest.of_bytes(save({"weights": weights}))


def read_classifier(folder: Path) -> Classifier:
    """What `write_classifier` wrote.

    Raises: DataError: the header breaks its schema; IntegrityError: the weights are not the header's.
    """
    path = folder / "classifier.json"
    raw = load_json(path)
    check(raw, "classifier", path, DataError)
    header: Header = structure(raw, Header)
    try:
        data = (folder / "classifier.safetensors").read_bytes()
        weights = load(data)["weights"] if digest.of_bytes(data) == header.weights else None
    except (OSError, KeyError, SafetensorError):
        weights = None
    if weights is None or weights.shape != (header.features.buckets,) or weights.dtype != np.float64:
        raise IntegrityError("the weights are not the classifier's", where=folder, cure="Build it again with: dvc repro scored")
    return Classifier(header=header, line=Line(weights=weights, intercept=header.intercept))

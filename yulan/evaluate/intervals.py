"""Intervals: Wilson's for a rate, the percentile bootstrap for means and for ratios over documents."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""
RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def beyond_zero(self) -> bool:
        """The interval does not hold 0."""
        return self.low > 0 or self.high < 0


def wilson(hits: int, of: int) -> Interval:
    """Rate of `hits` in `of` > 0 trials. Source: Wilson 1927, without continuity correction."""
    rate, spread = hits / of, Z * Z / of
    middle = (rate + spread / 2) / (1 + spread)
    half = Z * math.sqrt(rate * (1 - rate) / of + spread / (4 * of)) / (1 + spread)
    # At 0 and at all of them rounding would leave the bound an ulp outside.
    return Interval(value=rate, low=max(0.0, middle - half) if hits else 0.0, high=min(1.0, middle + half) if hits < of else 1.0)


def mean(values: Sequence[float], seed: int = 0) -> Interval:
    """Mean of equally weighted values (seeds); resampled with replacement."""
    drawn = np.asarray(values, np.float64)
    picks = np.random.default_rng(seed).integers(len(drawn), size=(RESAMPLES, len(drawn)))
    return _percentiles(float(drawn.mean()), drawn[picks].mean(1))


def ratio(amounts: Sequence[float], sizes: Sequence[float], seed: int = 0) -> Interval:
    """Sum of `amounts` over the sum of `sizes`, where (amount, size) pairs, one a document, are resampled together."""
    top, bottom = np.asarray(amounts, np.float64), np.asarray(sizes, np.float64)
    found: list[npt.NDArray[np.float64]] = []
    random = np.random.default_rng(seed)
    for _ in range(RESAMPLES // 500):
        weights = random.multinomial(len(top), np.full(len(top), 1 / len(top)), size=500)
        # A draw of documents without a byte says nothing.
        there = weights @ bottom > 0
        found.append((weights @ top)[there] / (weights @ bottom)[there])
    return _percentiles(float(top.sum() / bottom.sum()), np.concatenate(found))


def _percentiles(value: float, draws: npt.NDArray[np.float64]) -> Interval:
    low, high = np.percentile(draws, (2.5, 97.5))
    return Interval(value=value, low=float(low), high=float(high))

"""When a short training counts as diverged, and what counts as a spike in it. The numbers stand in the protocol."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Reason = Literal["not finite", "lasting rise", "no better than token frequencies"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    window: int
    """Steps in every mean and median."""
    rise: float
    """Nats that a mean may lie over the lowest one before it."""
    ceiling: float
    """Nats a token that the loss on text that was not trained on must lie below."""
    spike: float
    """Nats that one step's loss must lie over the median of the steps before it to be a spike."""


def rose(losses: Sequence[float], limits: Limits) -> Reason | None:
    """Whether the run has left for good at its last step; asked after each, so that a lost run costs no more time."""
    if not math.isfinite(losses[-1]):
        return "not finite"
    ends = range(limits.window, len(losses) + 1)
    means = [sum(losses[end - limits.window : end]) / limits.window for end in ends]
    return "lasting rise" if means and means[-1] > min(means) + limits.rise else None


def ended(checked: float, limits: Limits) -> Reason | None:
    """Whether a run that came to its end learned nothing but how frequent tokens are; `checked`: its loss on other text."""
    return "no better than token frequencies" if not checked < limits.ceiling else None


def spikes(losses: Sequence[float], limits: Limits) -> list[int]:
    """Indices of steps whose loss stands out from the `window` steps before; neighbours count once."""
    found = []
    for index in range(limits.window, len(losses)):
        if losses[index] > median(losses[index - limits.window : index]) + limits.spike:
            found.append(index)
    return [index for index in found if index - 1 not in found]

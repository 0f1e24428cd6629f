"""What every bench shares: taking turns, medians of the pairs' ratios with a bootstrap interval, one printed line each."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

SEED = 0
"""Of the bootstrap."""
RESAMPLES = 10_000
Clock = Callable[[], float]
ROW = "{:52}  {:>16}  {:>16}  {:>5}  {:26}  {:26}  {}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Aim:
    """What the 95 % interval is held to."""

    at: Literal["least", "most"]
    """Its lower end is at least, or its upper end at most, `value`."""
    value: float

    def reached(self, low: float, high: float) -> bool:
        return low >= self.value if self.at == "least" else high <= self.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    name: str
    ours: str
    """Median, with its unit."""
    peer: str
    pairs: int
    middle: float
    """Median of the pairs' ratios, or of our own figure."""
    low: float
    high: float
    aim: Aim | None

    def row(self) -> str:
        told = f"{self.middle:.4g} [{self.low:.4g}, {self.high:.4g}]"
        aim = f"at {self.aim.at} {self.aim.value:g}" if self.aim else "none"
        verdict = "" if self.aim is None else "reached" if self.aim.reached(self.low, self.high) else "not reached"
        return ROW.format(self.name, self.ours, self.peer, self.pairs, told, aim, verdict).rstrip()


def head() -> str:
    return ROW.format("bench", "ours", "peer", "pairs", "ratio [95 % interval]", "aim", "").rstrip()


def interleave(
    contenders: Mapping[str, Callable[[], object]], pairs: int, *, warmup: int = 1, clock: Clock = time.perf_counter
) -> dict[str, npt.NDArray[np.float64]]:
    """Seconds (pairs,) of each contender; they take turns, and each round begins with another one."""
    return rounds({name: lambda work=work: _timed(work, clock) for name, work in contenders.items()}, pairs, warmup=warmup)


def rounds(contenders: Mapping[str, Callable[[], float]], pairs: int, *, warmup: int = 1) -> dict[str, npt.NDArray[np.float64]]:
    """The same for contenders that time themselves."""
    names = list(contenders)
    times = np.empty((warmup + pairs, len(names)))
    for number, row in enumerate(times):
        for turn in range(len(names)):
            place = (number + turn) % len(names)
            row[place] = contenders[names[place]]()
    return dict(zip(names, times[warmup:].T, strict=True))


def _timed(work: Callable[[], object], clock: Clock) -> float:
    began = clock()
    work()
    return clock() - began


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Median, and the ends of its 95 % bootstrap interval."""
    draw = np.random.default_rng(SEED)
    medians = np.median(values[draw.integers(0, len(values), (RESAMPLES, len(values)))], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(np.median(values)), float(low), float(high)


def ratio(
    name: str,
    over: npt.NDArray[np.float64],
    under: npt.NDArray[np.float64],
    *,
    told: Callable[[float], str],
    aim: Aim | None,
    ours: Literal["over", "under"] = "over",
) -> Line:
    """The line of `over / under`, pair by pair; `told` writes a median with its unit."""
    texts = [told(float(np.median(each))) for each in (over, under)]
    own, peer = texts if ours == "over" else reversed(texts)
    middle, low, high = interval(over / under)
    return Line(name=name, ours=own, peer=peer, pairs=len(over), middle=middle, low=low, high=high, aim=aim)


def figure(name: str, values: npt.NDArray[np.float64], *, told: Callable[[float], str], aim: Aim | None) -> Line:
    """The line of a figure of our own that has no peer."""
    middle, low, high = interval(values)
    return Line(name=name, ours=told(middle), peer="", pairs=len(values), middle=middle, low=low, high=high, aim=aim)


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.3g} ms"


def show(lines: Sequence[Line]) -> None:
    for line in lines:
        print(line.row(), flush=True)

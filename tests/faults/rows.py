"""The table of faults: each row is a function that plays one trial and raises if it does not end as the page says."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SEED = 20_261_124


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    fault: str
    """What happens."""
    how: str
    """How it is brought about."""
    outcome: str
    """What is held to."""
    trials: int
    sample: int
    """Trials in `make test`."""
    play: Callable[["Trial"], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One turn of a row. Its number decides all that is drawn in it."""

    row: str
    number: int
    folder: Path
    """Empty, its own."""
    house: Any
    """What trials share: `ground.House`."""
    seen: Counter[str]
    """Of the whole row: what happened how often."""

    @property
    def seed(self) -> int:
        return SEED + self.number

    def pick(self, *choices: Any) -> Any:
        """Each choice in turn, trial by trial."""
        return choices[self.number % len(choices)]


ROWS: dict[str, Row] = {}


Play = Callable[[Trial], None]


def row(name: str, *, fault: str, how: str, outcome: str, trials: int, sample: int = 1) -> Callable[[Play], Play]:
    """Enter a function in the table."""

    def enter(play: Play) -> Play:
        ROWS[name] = Row(name=name, fault=fault, how=how, outcome=outcome, trials=trials, sample=sample, play=play)
        return play

    return enter


class NotAsStatedError(Exception):
    """A trial that ended otherwise than the page says."""


def require(law: object, *what: object) -> None:
    """Raises: NotAsStatedError: `law` does not hold."""
    if not law:
        raise NotAsStatedError(" ".join(str(each) for each in what))


@dataclass
class Result:
    row: Row
    trials: int = 0
    failed: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)


def table(results: list[Result]) -> str:
    """Markdown."""
    head = "| row | what happens | how it is brought about | outcome held to | trials | as stated | seconds |"
    lines = [head, "|---|---|---|---|--:|--:|--:|"]
    for r in results:
        words = (f"`{r.row.name}`", r.row.fault, r.row.how, r.row.outcome)
        numbers = (f"{r.trials:,}", f"{r.trials - len(r.failed):,}", f"{r.seconds:.0f}")
        lines.append(f"| {' | '.join((*words, *numbers))} |")
    notes = [f"- `{r.row.name}`: " + ", ".join(f"{what} {n:,}" for what, n in sorted(r.seen.items())) for r in results if r.seen]
    total = sum(r.trials for r in results)
    good = total - sum(len(r.failed) for r in results)
    last = f"| all | | | | {total:,} | {good:,} | {sum(r.seconds for r in results):.0f} |"
    return "\n".join([*lines, last, "", "What was seen, how often:", "", *notes])


def now() -> float:
    return time.monotonic()

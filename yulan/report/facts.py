"""The numbers behind the pictures, as small CSV tables that `dvc plots` and people read too."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from yulan import files
from yulan.errors import DataError

What = Literal["hidden_rms", "score_max", "grad_norm", "update_ratio"]
"""As `watch.jsonl` calls it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one source gives to a phase."""

    phase: str
    family: str
    source: str
    tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One optimizer step."""

    phase: str
    step: int
    """Global, along the path."""
    tokens: int
    """Trained on along the path, this step included."""
    loss: float
    """Nats, mean over the step's real targets."""
    lr: float
    grad_norm: float
    """Before clipping."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One number that was seen inside the model after a step."""

    phase: str
    step: int
    """Global, along the path."""
    what: What
    place: str
    """`layer 03`, `last norm`; or a group of weights, `q_proj`."""
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A step that updated nothing, since its loss or gradient was not finite or stood out."""

    phase: str
    step: int
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Held-out text of one family, before and after a phase."""

    phase: str
    family: str
    before: float
    """Bits per byte at the phase's parent."""
    after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A benchmark's result after a phase."""

    phase: str
    task: str
    metric: str
    value: float
    stderr: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """What a stage hands on of one source."""

    stage: str
    family: str
    source: str
    documents: int
    bytes: int
    """UTF-8 bytes of text."""
    tokens: int
    """0 before the tokenizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """Documents of one source that a stage leaves out, for one reason."""

    stage: str
    family: str
    source: str
    reason: str
    documents: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """What of a benchmark stood in the text, and was dropped: all of it, or one part."""

    benchmark: str
    has: int
    """Items of the benchmark."""
    searched: int
    """Those long enough to be looked for."""
    by: str
    """all, kind, field or source."""
    part: str
    items: int
    """Items found."""
    documents: int
    """Documents dropped."""
    bytes: int
    """UTF-8 bytes of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """A figure of a classifier, on documents that nothing was fitted on."""

    classifier: str
    measure: str
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a classifier says of one source's test documents."""

    classifier: str
    source: str
    role: str
    """reference, against or pool."""
    outcome: str
    """`score 1` to `score 5`; of a topic, `left` or `taken`."""
    documents: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """A tenth of a classifier's probabilities."""

    classifier: str
    low: float
    documents: int
    predicted: float
    observed: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What the model wrote after a phase."""

    phase: str
    prompt: str
    text: str


Row = TypeVar("Row", Share, Point, Look, Refusal, Score, Answer, Count, Drop, Leak, Agreement, Outcome, Calibration, Sample)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    mixes: tuple[Share, ...]
    curves: tuple[Point, ...]
    looks: tuple[Look, ...]
    refused: tuple[Refusal, ...]
    scores: tuple[Score, ...]
    positions: tuple[Score, ...]
    """Of parts of the context instead of families."""
    answers: tuple[Answer, ...]
    counts: tuple[Count, ...]
    drops: tuple[Drop, ...]
    leaks: tuple[Leak, ...]
    agreement: tuple[Agreement, ...]
    outcomes: tuple[Outcome, ...]
    calibration: tuple[Calibration, ...]
    samples: tuple[Sample, ...]

    @property
    def phases(self) -> tuple[str, ...]:
        """In the recipe's order."""
        return tuple(dict.fromkeys(share.phase for share in self.mixes))

    @property
    def families(self) -> tuple[str, ...]:
        """Largest first in tokens trained on; then those that no mix uses."""
        tokens: dict[str, int] = {}
        for share in self.mixes:
            tokens[share.family] = tokens.get(share.family, 0) + share.tokens
        used = sorted(tokens, key=lambda name: (-tokens[name], name))
        return tuple(dict.fromkeys([*used, *sorted({count.family for count in self.counts})]))


KINDS: dict[str, type] = {
    "mixes": Share,
    "curves": Point,
    "looks": Look,
    "refused": Refusal,
    "scores": Score,
    "positions": Score,
    "answers": Answer,
    "counts": Count,
    "drops": Drop,
    "leaks": Leak,
    "agreement": Agreement,
    "outcomes": Outcome,
    "calibration": Calibration,
    "samples": Sample,
}
TABLES = tuple(f"{name}.csv" for name in KINDS)


def write_facts(folder: Path, facts: Facts) -> None:
    """One `<table>.csv` for each kind of row."""
    for name in KINDS:
        _write(folder / f"{name}.csv", KINDS[name], getattr(facts, name))


def read_facts(folder: Path) -> Facts:
    """Raises: DataError: a table is missing or is not what `write_facts` writes."""
    tables: dict[str, Any] = {name: tuple(_read(folder / f"{name}.csv", kind)) for name, kind in KINDS.items()}
    return Facts(**tables)


def _write(path: Path, kind: type, rows: Iterable[Row]) -> None:
    with files.open_new(path, "w") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(field.name for field in fields(kind))
        # repr of a float is the shortest text that reads back to the same bits.
        table.writerows(astuple(row) for row in rows)


def _read(path: Path, kind: type[Row]) -> Sequence[Row]:
    types = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [kind(**{name: types[name](text) for name, text in row.items()}) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        what = f"not a table of {kind.__name__} rows ({error.__class__.__name__})"
        raise DataError(what, where=path, cure="Build it again with: dvc repro figures") from None


def _reader(hint: Any) -> Callable[[str], Any]:
    """What makes a field's value of its text; a word of a Literal is one of them."""
    if get_origin(hint) is not Literal:
        made: Callable[[str], Any] = hint
        return made
    return lambda text: get_args(hint)[get_args(hint).index(text)]


def in_words(number: float, unit: str = "") -> str:
    """`1.3 M`, `24.9 MB`, `850`: three digits at most, for people."""
    for power, letter in ((1e12, "T"), (1e9, "G" if unit == "B" else "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= power * 0.9995:
            scaled = number / power
            digits = 0 if scaled >= 99.95 else 1
            return f"{scaled:.{digits}f} {letter}{unit}"
    return f"{number:.0f} {unit}".strip() if float(number).is_integer() else f"{number:.3g} {unit}".strip()

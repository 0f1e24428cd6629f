"""evaluated.json: what a model answered to a suite, and samples/: one row an item, without the text of any data set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from yulan import digest, files
from yulan.errors import DataError, IntegrityError
from yulan.evaluate.suite import Harness
from yulan.schema import check, plain, read_json

NAME, SAMPLES = "evaluated.json", "samples"


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteName:
    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What was asked."""

    name: str
    """As its manifest calls it; its kind where it has none."""
    kind: str
    """`checkpoint`, or the model type of config.json."""
    digest: str
    """Its content digest; without a manifest, that of its list of files."""
    phase: str | None
    global_step: int | None
    tokens: int | None
    """Trained on along its path."""
    context: int
    """Tokens that a text is cut at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What rounding depends on."""

    isa: str
    """Instruction set or GPU model."""
    threads: int
    precision: Literal["fp32", "bf16"]
    batch: int
    """Requests in a forward pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskResult:
    """Figures are null where `state` is `not run`."""

    state: Literal["run", "not run"]
    reason: str | None
    """Why it was not run."""
    title: str
    harness_task: str | None
    """lm-eval's name; null for text, which is measured without it."""
    datasets: tuple[str, ...]
    """Hub ids of its data."""
    data: str | None
    """sha256 of the rows that were shown and asked."""
    prompt: str | None
    """sha256 of what makes the prompt and judges the answer."""
    prompts: str | None
    """sha256 of all prompts as they were put."""
    shots: int | None
    new_tokens: int | None
    """Most tokens of an answer."""
    metric: str
    higher_is_better: bool
    value: float | None
    """Mean over the items; for text, bits of all documents over their bytes."""
    stderr: float | None
    items: int | None
    log: str | None
    """sha256 of samples/<task>.jsonl."""
    published: Mapping[str, float]
    """Percent, by model, as others published it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """evaluated.json. Equal models, suites, data and machines give equal bytes: no time, host or path stands in it."""

    format: int
    suite: SuiteName
    harness: Harness
    subject: Subject
    packages: Mapping[str, str]
    machine: Machine
    limit: int | None
    """Most items asked of each task; null: all."""
    tasks: Mapping[str, TaskResult]

    @property
    def run(self) -> dict[str, TaskResult]:
        """The tasks that have a value, for those who pass results on: of the first items only, where `limit` is set."""
        return {name: task for name, task in self.tasks.items() if task.state == "run"}


def write_samples(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    """Write one task's rows; returns the digest that its result quotes."""
    return digest.of_file(files.write_rows(folder / SAMPLES / f"{name}.jsonl", rows))


def write_evaluated(folder: Path, made: Evaluated) -> None:
    """Last of all, since it covers the rows by digest.

    Raises: DataError: a value breaks the schema.
    """
    raw = plain(made)
    check(raw, "evaluated", folder / NAME, DataError)
    files.write_json(folder / NAME, raw)


def read_evaluated(folder: Path) -> Evaluated:
    """Raises: DataError: no evaluated.json, or it breaks its schema."""
    return read_json(folder / NAME, "evaluated", Evaluated)


def read_samples(folder: Path, made: Evaluated) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(task, its rows) of every task that was run.

    Raises: IntegrityError: rows are missing or are not those that the result was made of.
    """
    for name, task in made.run.items():
        path = folder / SAMPLES / f"{name}.jsonl"
        if not path.is_file() or digest.of_file(path) != task.log:
            raise IntegrityError(
                "is not what evaluated.json was made of", where=path, cure="Evaluate again, or restore the whole folder"
            )
        yield name, files.complete_rows(path)

"""suites/*.yaml: which tasks are asked, how, and what was published of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import digest
from yulan.schema import plain, read_yaml

FOLDER = Path(__file__).with_name("suites")


@dataclass(frozen=True, kw_only=True, slots=True)
class Harness:
    name: str
    version: str
    """Another one may ask otherwise, and is refused where a prompt's digest differs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteTask:
    title: str
    """As the source calls it."""
    folder: str
    """Below lm-eval's own `tasks`."""
    task: str
    """Of lm-eval; a group stands for all its tasks."""
    datasets: tuple[str, ...]
    """Hub ids; none where the task makes its own text."""
    override: Mapping[str, Any]
    """Keys of lm-eval's task that this suite sets otherwise; `metadata` is given to what makes text."""
    shots: int
    metric: str
    """Of each item, lm-eval's name; the score is its mean over the items."""
    filter: str
    """lm-eval's filter between answer and metric."""
    prompt: str
    """sha256 of what makes the prompt and judges the answer: `prompts.py`."""
    published: Mapping[str, float]
    """Percent, by model, as the suite's source prints it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    format: int
    name: str
    harness: Harness
    source: str
    """Where the published figures stand."""
    unknown: str
    """What the source does not say of how it asked."""
    tasks: Mapping[str, SuiteTask]

    @property
    def digest(self) -> str:
        return digest.of_json(plain(self))


def suite_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_suite(name: str) -> Suite:
    """A shipped one. Raises: RecipeError: it breaks its schema."""
    path = FOLDER / f"{name}.yaml"
    return read_yaml(path, "suite", Suite)

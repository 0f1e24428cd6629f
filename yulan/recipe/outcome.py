"""The evaluation, release and limit sections of a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One lm-eval task, read from a benchmark of sources.yaml."""

    benchmark: str
    """Key in sources.yaml's `benchmarks`."""
    shots: int
    """Items shown with their answers before each one; they are not asked."""
    limit: int
    """Most items that are asked; a standard error needs two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    prompts: tuple[str, ...]
    new_tokens: int
    temperature: float
    """0: the likeliest token each time."""
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    held_out_tokens: int
    """Most held-out tokens per source in bits per byte."""
    position_buckets: int
    """Equal parts of the context for which bits per byte are reported apart."""
    tasks: Mapping[str, Task]
    benchmarked: tuple[str, ...]
    """Phases after which the tasks are asked; held-out text is measured after every one."""
    generations: Generation


PASSED_ON = frozenset(
    """0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 CDLA-Permissive-2.0
    ISC MIT ODC-By-1.0 PDDL-1.0 Unlicense""".split()  # noqa: SIM905 - a wall of quotes
)
"""Licences that let a changed text be passed on to anyone, for any use, as long as it is attributed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Licences:
    """SPDX ids, or `unknown`. Training text has its licence per source, in sources.yaml."""

    code: str
    weights: str
    states: str
    synthetic: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiver:
    """One finding of the gate that does not stop the release. A waiver of what is not found does."""

    rule: Literal["no-secrets", "no-machine", "distances-plausible"]
    """Those that judge by likelihood; no other can be waived."""
    finding: str
    """As the gate words it."""
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    repo: str
    """OWNER/NAME of the model repository; states and data append -states and -data."""
    licences: Licences
    unknown_licence: str | None
    """Recorded reason for which sources of unknown licence may be trained on; null: the gate refuses them."""
    waivers: tuple[Waiver, ...]
    text: tuple[str, ...]
    """Sources of others whose text the data repository carries, cleaned as it was trained on."""
    intended_use: str
    limitations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    gpu_hours: float
    """Above this a train stage asks for `yulan allow-spend` first."""

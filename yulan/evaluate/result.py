"""evaluation.json: the figures of one phase, and samples.jsonl, what stands behind the benchmarks'."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NAME, SAMPLES = "evaluation.json", "samples.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Bits per byte of held-out text."""

    bits_per_byte: float
    """After the phase."""
    before: float
    """Of the same text under the weights that the phase began from."""
    documents: int
    tokens: int
    """Predicted, ends of documents included."""
    bytes: int
    """UTF-8 bytes of the predicted tokens; an end has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """A benchmark's result."""

    metric: str
    """lm-eval's name of it."""
    value: float
    stderr: float
    shots: int
    items: int
    """Asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    prompt: str
    text: str
    """What the model wrote after it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """evaluation.json."""

    format: int
    phase: str
    global_step: int
    context: int
    """Tokens a text is cut at, the phase's context."""
    held_out: Mapping[str, Score]
    """By family of sources."""
    sources: Mapping[str, Score]
    by_position: Mapping[str, Score]
    """Equal parts of the context, `positions 0000-0255`, of the documents that fill it; empty where none does."""
    tasks: Mapping[str, Answers]
    generations: tuple[Generated, ...]

    def summary(self) -> dict[str, Any]:
        """The figures that `dvc metrics diff` compares."""

        def bits(scores: Mapping[str, Score]) -> dict[str, float]:
            return {name: round(score.bits_per_byte, 4) for name, score in scores.items()}

        return {
            "global_step": self.global_step,
            "bits_per_byte": bits(self.held_out),
            "bits_per_byte_by_position": bits(self.by_position),
            "tasks": {
                name: {told.metric: round(told.value, 4), "stderr": round(told.stderr, 4)} for name, told in self.tasks.items()
            },
        }

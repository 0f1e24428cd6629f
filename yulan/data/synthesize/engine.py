"""What a model is asked and what it says, whichever model it is."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Finish = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a family's answers are drawn."""

    max_new_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    key: str
    """Names it in the ledger: `<family>/<question>/<sample>`, and `/judge` behind it for the mark."""
    prompt: str
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    text: str
    """Word for word, up to where a stop string begins."""
    finish: Finish
    """`length`: the token limit cut it off."""


class Engine(Protocol):
    digest: str
    """sha256 of the local model's file, or of the name and revision that the recipe promises."""

    def answers(self, requests: Sequence[Request], sampling: Sampling, done: Collection[int]) -> Iterator[tuple[int, Answer]]:
        """(index of the request, its answer) as they finish, in any order; those in `done` are not wanted."""
        ...


def cut(text: str, stop: Sequence[str]) -> str:
    """Up to the first stop string: some servers leave it in."""
    ends = [at for each in stop if (at := text.find(each)) >= 0]
    return text[: min(ends)] if ends else text

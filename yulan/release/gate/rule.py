"""A rule's shape."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from yulan.release.gate.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Waived:
    """Not as the rule asks, for a reason that is recorded in the release."""

    reason: str


Check = Callable[[Bundle], Iterator[str | Waived] | Iterator[str]]
"""Yields what is wrong, one sentence each. Its docstring is the rule's sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    id: str
    check: Check

    @property
    def sentence(self) -> str:
        return " ".join((self.check.__doc__ or "").split())

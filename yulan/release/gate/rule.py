"""A rule's shape."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from yulan.release.gate.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Waived:
    """Not as the rule asks, for a reason that is recorded in the release."""

    reason: str


@dataclass(frozen=True, slots=True)
class Noted:
    """What was looked at: nothing wrong, and worth telling."""

    what: str


Check = Callable[[Bundle], Iterator[str | Waived | Noted] | Iterator[str | Waived] | Iterator[str | Noted] | Iterator[str]]
"""Yields what is wrong, one sentence each. Its docstring is the rule's sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    id: str
    check: Check
    waivable: bool = False
    """The recipe may waive single findings of it, each with a reason: those that judge by likelihood."""

    @property
    def sentence(self) -> str:
        return " ".join((self.check.__doc__ or "").split())

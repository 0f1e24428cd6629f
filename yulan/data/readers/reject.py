"""What a reader says of something that cannot be a document."""

from dataclasses import dataclass

LONGEST = 8 << 20
"""Characters of the longest document that is taken at all; what a recipe keeps is its own, lower bound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reject:
    where: str
    """File, and line where there are lines."""
    reason: str
    """One word, or several with -: `utf-8`, `json`, `long-line`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """A row of rejects.jsonl."""

    source: str
    where: str
    """File and line or row, both counted from 1."""
    reason: str

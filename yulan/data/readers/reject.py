"""What a reader says of something that cannot be a document."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Reject:
    where: str
    """File, and line where there are lines."""
    reason: str
    """One word, or several with -: `utf-8`, `json`, `long-line`."""

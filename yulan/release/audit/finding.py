"""One thing that is wrong, odd, or was not looked at."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""An error: who uses it gets something else than it says, or runs a stranger's code. A note: not checked, or good to know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    id: str
    """The rule."""
    severity: Severity
    where: str
    """Revision, or revision and file."""
    what: str


def among(names: list[str], most: int = 6) -> str:
    """`step1, step2, … (76 in all)`."""
    shown = ", ".join(names[:most])
    return f"{shown}, … ({len(names)} in all)" if len(names) > most else shown

"""What the gate said of a bundle: verdict.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yulan import files
from yulan.errors import DataError
from yulan.schema import check, plain, read_json

VERDICT = "verdict.json"
Outcome = Literal["pass", "fail", "waived"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """One rule's word."""

    id: str
    sentence: str
    """What must hold."""
    verdict: Outcome
    evidence: tuple[str, ...]
    """Why it fails, the recorded reason why it is waived, or what was looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    format: int
    bundle: str
    """Content digest of the bundle that was judged."""
    verdict: Literal["pass", "fail"]
    rules: tuple[Ruling, ...]

    @property
    def failed(self) -> tuple[Ruling, ...]:
        return tuple(rule for rule in self.rules if rule.verdict == "fail")


def write_verdict(folder: Path, verdict: Verdict) -> None:
    raw = plain(verdict)
    check(raw, "verdict", folder / VERDICT, DataError)
    files.write_json(folder / VERDICT, raw)


def read_verdict(folder: Path) -> Verdict:
    """Raises: DataError: no verdict, or it breaks its schema."""
    return read_json(folder / VERDICT, "verdict", Verdict)

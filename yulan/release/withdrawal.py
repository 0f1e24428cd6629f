"""withdrawn.json: that a revision should not be used, why, and what to use instead. The bytes and the tags stay."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan.errors import DataError, StateError
from yulan.release.folder import WITHDRAWN
from yulan.schema import check, load_json, structure


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawal:
    format: int
    revision: str
    on: str
    """Date, ISO 8601."""
    reason: str
    replacement: str | None
    """`hf://OWNER/NAME@REVISION`; null: there is none."""

    def __str__(self) -> str:
        instead = f"; use {self.replacement}" if self.replacement else ""
        return f"withdrawn on {self.on}: {self.reason}{instead}"


def read_withdrawal(raw: Any, where: object) -> Withdrawal:
    """Raises: DataError: it breaks its schema."""
    check(raw, "withdrawal", where, DataError)
    return structure(raw, Withdrawal)


def require_standing(withdrawal: Withdrawal | None, where: object) -> None:
    """Raises: StateError: the revision was withdrawn; its reason and replacement are named."""
    if withdrawal is not None:
        cure = (
            f"Take {withdrawal.replacement}, or add --force" if withdrawal.replacement else "Add --force to use it all the same"
        )
        raise StateError(f"was withdrawn on {withdrawal.on}: {withdrawal.reason}", where=where, cure=cure)


def standing_in(folder: Path) -> Withdrawal | None:
    """What a pulled folder says of its withdrawal; null: it was not withdrawn when it was pulled.

    Raises: DataError: it breaks its schema.
    """
    path = folder / WITHDRAWN
    return read_withdrawal(load_json(path), path) if path.is_file() else None

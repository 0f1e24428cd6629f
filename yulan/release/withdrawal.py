"""What is said of a revision after it was published: withdrawn.json, why it should not be used and what to use instead, and
what stands in its card, that and errata. The bytes and the tags stay."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan.errors import DataError, StateError
from yulan.release.folder import WITHDRAWN
from yulan.schema import check, load_json, structure

BANNERS = {"README.md": "Withdrawn.", "README.zh.md": "已撤回。"}
ERRATA = {"README.md": "Errata", "README.zh.md": "勘误"}
"""By card. What was said is added as it was said, in whichever language."""
_ERRATUM = re.compile(r"- \d{4}-\d\d-\d\d: ")


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


def banner(name: str, withdrawal: Withdrawal) -> str:
    """Above a card, after its header."""
    return f"> **{BANNERS[name]}** This revision was {withdrawal}.\n\n"


def as_built(name: str, card: str, withdrawal: Withdrawal | None) -> tuple[str, int]:
    """A card without what `yulan withdraw` and `yulan erratum` added, which people said and no file proves.

    Returns: the card, and the number of errata.
    """
    if withdrawal is not None:
        card = card.replace(banner(name, withdrawal), "", 1)
    body, _, said = card.partition(f"\n## {ERRATA[name]}\n")
    rows = said.splitlines()
    if not rows or not _ERRATUM.match(rows[0]):
        return card, 0
    return body, sum(bool(_ERRATUM.match(row)) for row in rows)

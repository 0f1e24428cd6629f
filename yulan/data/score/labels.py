"""Scores from another judge, such as a model behind an endpoint: a file of rows that say who judged what, and how.

JSON lines of schemas/label.json, one a document: its id, a score from 1 to 5, and the digests of model and prompt.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from sklearn.metrics import cohen_kappa_score

from yulan import digest
from yulan.data.readers.lines import bounded
from yulan.data.score.result import Labelled
from yulan.errors import DataError, IntegrityError, RecipeError
from yulan.recipe.scoring import SCORES, Labels
from yulan.schema import check

DIGITS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A row of the file."""

    id: str
    """Of the document."""
    score: int
    model: str
    """Digest of the model that judged."""
    prompt: str
    """Digest of the prompt that it was asked with."""


def read_labels(folder: Path, told: Labels) -> dict[str, Label]:
    """Labels by document id; `folder` is the recipe's.

    Raises: RecipeError: no such file; IntegrityError: it is another one; DataError: a row breaks its schema, or comes twice.
    """
    path = folder / told.path
    if not path.is_file():
        raise RecipeError("no such file of labels", where=path, cure="Put it there, or write labels: null")
    if digest.of_file(path) != told.sha256:
        raise IntegrityError("not the labels that the recipe names", where=path, cure="Restore it, or correct its sha256")
    found: dict[str, Label] = {}
    with path.open("rb") as file:
        for number, line in enumerate(bounded(file), 1):
            label = _label(line, f"{path}:{number}")
            if label.id in found:
                what = f"document {label.id[:12]} is labelled twice"
                raise DataError(what, where=f"{path}:{number}", cure="Keep one of the rows")
            found[label.id] = label
    return found


def _label(line: bytes | None, where: str) -> Label:
    try:
        row = orjson.loads(line or b"")
    except orjson.JSONDecodeError:
        raise DataError("not a row of JSON", where=where, cure="Write the labels again") from None
    check(row, "label", where, DataError)
    return Label(**row)


def agreement(pairs: Sequence[tuple[int, int]], decided: int, used: Sequence[Label]) -> Labelled | None:
    """How far two judges agree; `pairs`: the other's score, then the classifier's. None where no document has both."""
    if not pairs:
        return None
    counts = Counter(pairs)
    one, other = zip(*pairs, strict=True)
    # Weighted disagreement over what chance would give: without any spread there is none, and the ratio says nothing.
    spread = len(set(one)) > 1 and len(set(other)) > 1
    kappa = round(float(cohen_kappa_score(one, other, weights="quadratic")), DIGITS) if spread else None
    return Labelled(
        documents=len(pairs),
        equal=round(sum(a == b for a, b in pairs) / len(pairs), DIGITS),
        within_one=round(sum(abs(a - b) <= 1 for a, b in pairs) / len(pairs), DIGITS),
        kappa=kappa,
        table=tuple(tuple(counts[row, column] for column in SCORES) for row in SCORES),
        decided=decided,
        models=tuple(sorted({label.model for label in used})),
        prompts=tuple(sorted({label.prompt for label in used})),
    )

"""removed.yaml: documents that no build may hold any more, since somebody asked: ids, dates, kinds of reason."""

import datetime
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import yaml

from yulan import files
from yulan.errors import RecipeError
from yulan.schema import check, load_yaml, plain, structure

REMOVED = "removed.yaml"
Reason = Literal["author", "personal-data", "copyright", "court", "other"]
"""Who or what asked: the author, whom the text tells of, the holder of its rights, a court."""
REASONS: tuple[Reason, ...] = get_args(Reason)
HEAD = """\
# Documents that were removed on request, and their copies: `yulan data remove` writes here (docs/guides/remove.md).
# The next build leaves them out. Never a text, never a name.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """One document."""

    id: str
    date: str
    """Of the request: YYYY-MM-DD."""
    reason: Reason
    goes_with: str | None
    """The document that was asked for, where this one goes as its copy or was made from it; null: it is that one."""


@dataclass(frozen=True, kw_only=True)
class Removed:
    """The file."""

    format: int
    documents: tuple[Removal, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for index, each in enumerate(self.documents):
            where = f"$.documents[{index}]"
            if each.id in seen:
                raise RecipeError(f"document {each.id[:12]} stands twice", where=f"{where}.id", cure="Leave the first entry")
            seen.add(each.id)
            try:
                datetime.date.fromisoformat(each.date)
            except ValueError:
                raise RecipeError(f"{each.date} is no day", where=f"{where}.date", cure="Write it as 2026-11-25") from None

    @cached_property
    def ids(self) -> frozenset[str]:
        return frozenset(each.id for each in self.documents)

    def find(self, identity: str) -> Removal | None:
        return next((each for each in self.documents if each.id == identity), None)

    def with_more(self, more: tuple[Removal, ...]) -> "Removed":
        """In the order of requests; what goes with a document follows it."""
        return Removed(format=self.format, documents=(*self.documents, *more))


NOTHING = Removed(format=1, documents=())


def load_removed(path: Path) -> Removed:
    """Raises: RecipeError: no such file, it breaks its schema, or a document stands twice."""
    if not path.is_file():
        raise RecipeError("the recipe does not say what was removed", where=path, cure="Write: {format: 1, documents: []}")
    raw = load_yaml(path)
    check(raw, "removed", path)
    try:
        return structure(raw, Removed)
    except RecipeError as error:
        raise RecipeError(error.what, where=f"{path}: {error.where}", cure=error.cure) from None


def write_removed(path: Path, removed: Removed) -> None:
    raw = plain(removed)
    check(raw, "removed", path)
    files.write_text(path, HEAD + yaml.safe_dump(raw, sort_keys=False))

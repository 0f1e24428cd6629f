"""contamination.json: what of each benchmark stood in the text, and what was dropped for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import files
from yulan.recipe.corpus import Decontaminate
from yulan.schema import plain, read_json

NAME = "contamination.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Matches of one kind, in one field or from one source."""

    items: int
    """Items found."""
    documents: int
    """Documents dropped; one with several matches counts in each part that it has one of."""
    bytes: int
    """UTF-8 bytes of those documents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """One benchmark."""

    items: int
    searched: int
    """Items that are long enough to be looked for."""
    found: Part
    kinds: Mapping[str, Part]
    """`ngram` or `whole`."""
    fields: Mapping[str, Part]
    """Which parts of the items: `question`, `question+answer`, `passage` and so on."""
    sources: Mapping[str, Part]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contamination:
    """contamination.json."""

    format: int
    ngram: int
    """Words in a row that count as a leak."""
    shortest: int
    """Words that an item must have to be looked for as a whole."""
    documents: int
    """Dropped for any benchmark, each counted once."""
    bytes: int
    """UTF-8 bytes of those documents."""
    benchmarks: Mapping[str, Tested]

    def summary(self) -> dict[str, Any]:
        """Per benchmark, for a manifest."""
        return {name: plain(tested) for name, tested in sorted(self.benchmarks.items())}


class _Sum:
    def __init__(self) -> None:
        self.items: set[str] = set()
        self.documents = self.bytes = 0

    def part(self) -> Part:
        return Part(items=len(self.items), documents=self.documents, bytes=self.bytes)


class Ledger:
    """Adds up matches, document by document."""

    def __init__(self, items: Mapping[str, int], searched: Mapping[str, int], rules: Decontaminate) -> None:
        self.items, self.searched, self.rules = items, searched, rules
        self.documents = self.bytes = 0
        self.sums: dict[tuple[str, str, str], _Sum] = {}
        """By benchmark, table and row of it."""

    def add(self, source: str, size: int, matches: Iterable[Mapping[str, Any]]) -> None:
        """A document of so many bytes, and what it shares with items; nothing, if it is kept."""
        touched: dict[tuple[str, str, str], set[str]] = {}
        for match in matches:
            rows = (("found", ""), ("kinds", match["kind"]), ("fields", match["field"]), ("sources", source))
            for table, row in rows:
                touched.setdefault((match["benchmark"], table, row), set()).add(match["item"])
        for key, items in touched.items():
            here = self.sums.setdefault(key, _Sum())
            here.items |= items
            here.documents += 1
            here.bytes += size
        self.documents += bool(touched)
        self.bytes += size if touched else 0

    def table(self) -> Contamination:
        return Contamination(
            format=1,
            ngram=self.rules.ngram,
            shortest=self.rules.shortest,
            documents=self.documents,
            bytes=self.bytes,
            benchmarks={
                name: Tested(
                    items=count,
                    searched=self.searched[name],
                    found=self.sums.get((name, "found", ""), _Sum()).part(),
                    kinds=self._rows(name, "kinds"),
                    fields=self._rows(name, "fields"),
                    sources=self._rows(name, "sources"),
                )
                for name, count in sorted(self.items.items())
            },
        )

    def _rows(self, benchmark: str, table: str) -> dict[str, Part]:
        return {row: found.part() for (name, kind, row), found in sorted(self.sums.items()) if (name, kind) == (benchmark, table)}

    def write(self, folder: Path) -> None:
        files.write_json(folder / NAME, plain(self.table()))


def read_contamination(folder: Path) -> Contamination:
    """Raises: DataError: no such file, or it breaks its schema."""
    return read_json(folder / NAME, "contamination", Contamination)

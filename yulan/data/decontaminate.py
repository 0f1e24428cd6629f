"""Drop documents that hold an evaluation item, or a stretch of one.

Texts are compared as words without case, width and punctuation. A document is dropped for `ngram` consecutive words
that stand in an item; an item of fewer words is looked for as a whole, if it has at least `shortest` of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from yulan import digest
from yulan.data import frames
from yulan.data.benchmarks import Item
from yulan.data.drops import Drops, Flow, join, split, write_drops
from yulan.data.partitions import PART, Partition, Partitions, passing
from yulan.data.words import words
from yulan.errors import DataError
from yulan.recipe.corpus import Decontaminate
from yulan.schema import plain, structure

MATCHES = pa.schema(
    [("id", pa.string()), ("source", pa.string()), ("benchmark", pa.string()), ("item", pa.string()), ("span", pa.string())]
)
FOUND = "matches.parquet"
SHARED = pa.struct([("benchmark", pa.string()), ("item", pa.string()), ("span", pa.string())])
RETURNS = pa.schema([("matches", pa.list_(SHARED))])
Key = tuple[str, str]
"""Benchmark and item."""
# An odd multiplier is invertible modulo 2^64, so no word of a stretch falls out of its hash.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """The longest stretch of words that a document and an item share."""

    benchmark: str
    item: str
    span: str


def decontaminate(
    benchmarks: Mapping[str, Sequence[Item]],
    rules: Decontaminate,
    folder: Path,
    into: Path,
    partitions: Partitions | None = None,
) -> Drops:
    """Write the documents below `folder` that share no stretch with an item; matches.parquet holds what the others share.

    Raises: DataError: nothing of a source is left.
    """
    if partitions is None:
        with passing(into) as passed:
            return decontaminate(benchmarks, rules, folder, into, passed)
    index = Index(benchmarks, rules)
    asked = digest.of_json([[name, [plain(item) for item in items]] for name, items in sorted(benchmarks.items())])
    parts = frames.every_part(folder)
    wanted = [
        Partition(
            name=f"{name}/{path.stem}",
            inputs={"part": digest.of_file(path), "items": asked},
            work=partial(_search_part, path, name, index),
        )
        for name, path in parts
    ]
    flows: dict[str, list[Flow]] = {}
    evidence = []
    for (name, path), made in zip(parts, partitions.make(wanted), strict=True):
        flows.setdefault(name, []).append(structure(made.summary["flow"], Flow))
        evidence.append(frames.table(made.data / FOUND))
        frames.link(made.data / PART, into / name / path.name)
    joined = {name: join(found) for name, found in flows.items()}
    for name, flow in joined.items():
        if not flow.kept:
            raise DataError(
                f"no document of {name} is left", where=folder / name, cure="Raise $.data.decontaminate.ngram, or drop the source"
            )
    frames.write_part(into / FOUND, pa.concat_tables(evidence))
    return write_drops(into, joined)


def _search_part(path: Path, name: str, index: "Index", into: Path) -> dict[str, Any]:
    table = frames.each([path], index.judge, RETURNS)
    matches = table["matches"].to_pylist()
    evidence = [
        {"id": identity, "source": name} | match
        for identity, row in zip(table["id"].to_pylist(), matches, strict=True)
        for match in row
    ]
    kept, flow = split(table.drop_columns("matches"), [row[0]["benchmark"] if row else None for row in matches])
    frames.write_part(into / PART, kept)
    frames.write_part(into / FOUND, pa.Table.from_pylist(evidence, MATCHES))
    return {"flow": plain(flow)}


class Index:
    """Every stretch of words that may not be trained on."""

    def __init__(self, benchmarks: Mapping[str, Sequence[Item]], rules: Decontaminate) -> None:
        self.made_of = (benchmarks, rules)
        self.grams: dict[tuple[str, ...], list[Key]] = {}
        """Words -> the items that hold them."""
        for benchmark, items in sorted(benchmarks.items()):
            for item in items:
                said = words(item.text)
                length = min(rules.ngram, len(said))
                if length >= min(rules.shortest, rules.ngram):
                    for gram in dict.fromkeys(tuple(said[i : i + length]) for i in range(len(said) - length + 1)):
                        self.grams.setdefault(gram, []).append((benchmark, item.id))
        # Word 0 is any that no item has, and the gap between two texts: a stretch with it cannot match.
        self.numbers = {word: number for number, word in enumerate(dict.fromkeys(w for gram in self.grams for w in gram), 1)}
        self.hashes: dict[int, npt.NDArray[np.uint64]] = {}
        for length in sorted({len(gram) for gram in self.grams}, reverse=True):
            said = [word for gram in self.grams if len(gram) == length for word in gram]
            self.hashes[length] = np.unique(self._hashed(self._numbered(said), length)[::length])

    def __reduce__(self) -> tuple[Any, ...]:
        # Daft serialises a plan's functions, if only to see that it can: items travel, tables are made again.
        return Index, self.made_of

    def _numbered(self, said: Iterable[str]) -> npt.NDArray[np.uint64]:
        return np.fromiter((self.numbers.get(word, 0) for word in said), np.uint64)

    @staticmethod
    def _hashed(numbers: npt.NDArray[np.uint64], length: int) -> npt.NDArray[np.uint64]:
        """Hash of each stretch of `length` words; 0 where one of them is unknown."""
        count = max(len(numbers) - length + 1, 0)
        hashes, known = np.zeros(count, np.uint64), np.ones(count, bool)
        for offset in range(length):
            window = numbers[offset : offset + count]
            hashes = hashes * _MULTIPLIER + window
            known &= window != 0
        return np.where(known, hashes, np.uint64(0))

    def search(self, texts: list[str]) -> list[list[Match]]:
        """What each text shares with items: at most one match for each item, in the order of (benchmark, item)."""
        said = [words(text) for text in texts]
        joined = [word for each in said for word in (*each, "")]
        numbers = self._numbered(joined)
        begins = np.concatenate([[0], np.cumsum([len(each) + 1 for each in said])])
        spans: list[dict[Key, list[tuple[int, int]]]] = [{} for _ in texts]
        for length, known in self.hashes.items():
            hashes = self._hashed(numbers, length)
            there = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            starts = np.flatnonzero((known[there] == hashes) & (hashes != 0))
            for start, row in zip(starts.tolist(), (np.searchsorted(begins, starts, "right") - 1).tolist(), strict=True):
                # Looked up in full: equal hashes alone would be a guess.
                for item in self.grams.get(tuple(joined[start : start + length]), ()):
                    spans[row].setdefault(item, []).append((start, start + length))
        return [
            [Match(benchmark=b, item=i, span=" ".join(joined[slice(*_longest(found[b, i]))])) for b, i in sorted(found)]
            for found in spans
        ]

    def judge(self, texts: list[str]) -> dict[str, list[Any]]:
        """`search`, as a column."""
        return {
            "matches": [
                [{"benchmark": m.benchmark, "item": m.item, "span": m.span} for m in found] for found in self.search(texts)
            ]
        }


def _longest(stretches: list[tuple[int, int]]) -> tuple[int, int]:
    """The longest run of stretches that overlap, each beginning after the one before."""
    best = begin, end = stretches[0]
    for start, stop in stretches[1:]:
        begin, end = (begin, stop) if start <= end else (start, stop)
        best = max(best, (begin, end), key=lambda run: run[1] - run[0])
    return best

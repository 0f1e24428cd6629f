"""Where texts hold an evaluation item, or a stretch of one.

Texts are compared without case, width, punctuation and what cannot be seen. Two kinds of match:

- `ngram`: so many consecutive words stand in an item. What is published takes 8 words (Llama 3, arXiv 2407.21783; PaLM,
  arXiv 2204.02311), 8 to 13 by the lengths of a benchmark's items (GPT-3, arXiv 2005.14165), 12 (datatrove) or 13 (Dolma, arXiv
  2402.00159).
- `whole`: an item, or a long part of one, stands there however its words are spaced. A question that is shorter than an n-gram is
  one with its right answer close behind it, or with all choices behind it in any order; of less than four letters it is none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from yulan.data.benchmarks import Item
from yulan.data.words import in_raw, places, plain_words
from yulan.recipe.corpus import Decontaminate

Kind = Literal["ngram", "whole"]
Key = tuple[str, str]
"""Benchmark and item."""
Hashes = npt.NDArray[np.uint64]
# An odd multiplier is invertible modulo 2^64, so no word of a stretch falls out of its hash.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
ANCHORS = (32, 16, 8, 4)
"""Characters at a target's start that are looked for first: the most that it has."""
NEAR = 24
"""Most letters between a question and its answer: `the correct answer is` has 18."""
LABEL = 8
"""Most letters before each choice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """What a document and an item share."""

    benchmark: str
    item: str
    kind: Kind
    field: str
    """Parts of the item that it touches: passage, question, answer, choices, joined by `+`."""
    start: int
    """First character in the document, as it stands there."""
    end: int
    """Behind its last one."""
    span: str
    """The words, without case, width and punctuation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Letters and digits that are an item's, or a question after which its answer or its choices must stand."""

    key: Key
    field: str
    letters: str
    answer: str
    """To be found after at most NEAR letters; empty: `letters` are enough."""
    choices: tuple[str, ...]
    """To be found, all of them, after the question in any order; with none, only the answer counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A match in words of one text."""

    kind: Kind
    field: str
    first: int
    end: int


class Texts:
    """A batch of texts as one line of words and one of letters, a gap between two texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        said = [plain_words(text) for text in texts]
        # The gap is a word that no item has.
        self.words = [word for each in said for word in (*each, "\0")]
        self.begins = np.concatenate([[0], np.cumsum([len(each) + 1 for each in said])])
        self.letters = "".join(self.words)
        ends = np.cumsum(np.fromiter(map(len, self.words), np.int64, len(self.words)))
        self.at = np.concatenate([[0], ends])
        """Where each word begins in the letters."""

    def row(self, word: int) -> int:
        return int(np.searchsorted(self.begins, word, "right")) - 1

    def word_at(self, letter: int) -> int | None:
        """The word that begins at a letter, or that the text ends before."""
        found = int(np.searchsorted(self.at, letter))
        return found if self.at[found] == letter else None


class Index:
    """Every stretch of words and letters that may not be trained on."""

    def __init__(self, benchmarks: Mapping[str, Sequence[Item]], rules: Decontaminate) -> None:
        self.made_of = (benchmarks, rules)
        self.ngram = rules.ngram
        self.grams: dict[tuple[str, ...], dict[Key, str]] = {}
        """Words -> the items that hold them, and in which parts."""
        self.anchors: dict[int, dict[str, list[Target]]] = {length: {} for length in ANCHORS}
        self.searched: dict[str, int] = {}
        """By benchmark: items that are long enough to be looked for."""
        for benchmark, items in sorted(benchmarks.items()):
            self.searched[benchmark] = sum(self._take((benchmark, item.id), item, rules) for item in items)
        self.numbers = {word: number for number, word in enumerate(dict.fromkeys(w for gram in self.grams for w in gram), 1)}
        flat = [word for gram in self.grams for word in gram]
        self.hashes = np.unique(_of_words(_numbered(flat, self.numbers), self.ngram)[:: self.ngram])
        self.starts = {length: _Table(list(known)) for length, known in self.anchors.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        # Daft serialises a plan's functions, if only to see that it can: items travel, tables are made again.
        return Index, self.made_of

    def _take(self, key: Key, item: Item, rules: Decontaminate) -> bool:
        said = {name: plain_words(text) for name, text in item.parts.items()}
        line = [word for each in said.values() for word in each]
        of = [name for name, each in said.items() for _ in each]
        for at in range(len(line) - self.ngram + 1):
            touched = "+".join(dict.fromkeys(of[at : at + self.ngram]))
            self.grams.setdefault(tuple(line[at : at + self.ngram]), {}).setdefault(key, touched)
        targets = [Target(key=key, field="+".join(said), letters="".join(line), answer="", choices=())]
        targets += [
            Target(key=key, field=name, letters="".join(each), answer="", choices=())
            for name, each in said.items()
            if len(each) >= self.ngram
        ]
        fit = [target for target in targets if len(line) >= min(rules.shortest, self.ngram)]
        asked, answer = said.get("question", []), said.get("answer", [])
        if 0 < len(asked) < self.ngram and len(asked) + len(answer) >= min(rules.shortest, self.ngram):
            choices = tuple("".join(plain_words(choice)) for choice in item.choices)
            fit.append(Target(key=key, field="question+", letters="".join(asked), answer="".join(answer), choices=choices))
        fit = [target for target in fit if len(target.letters) >= ANCHORS[-1]]
        for target in fit:
            length = next(length for length in ANCHORS if len(target.letters) >= length)
            self.anchors[length].setdefault(target.letters[:length], []).append(target)
        return bool(fit) or len(line) >= self.ngram

    def search(self, texts: list[str]) -> list[list[Match]]:
        """What each text shares with items: at most one match for each item, in the order of (benchmark, item)."""
        made = Texts(texts)
        found: list[dict[Key, Found]] = [{} for _ in texts]
        self._ngrams(made, found)
        self._wholes(made, found)
        matches = []
        for row, (text, of) in enumerate(zip(texts, found, strict=True)):
            spots, begin = places(text) if of else [], int(made.begins[row])
            matches.append([_match(key, of[key], text, spots, made.words, begin) for key in sorted(of)])
        return matches

    def _ngrams(self, texts: Texts, found: list[dict[Key, Found]]) -> None:
        """The longest run of stretches of each item, each beginning before the end of the one before."""
        hashes = _of_words(_numbered(texts.words, self.numbers), self.ngram)
        runs: dict[tuple[int, Key], list[tuple[int, int, str]]] = {}
        for start in _among(hashes, self.hashes).tolist():
            # Looked up in full: equal hashes alone would be a guess.
            for key, field in self.grams.get(tuple(texts.words[start : start + self.ngram]), {}).items():
                runs.setdefault((texts.row(start), key), []).append((start, start + self.ngram, field))
        for (row, key), stretches in runs.items():
            found[row][key] = _longest(stretches)

    def _wholes(self, texts: Texts, found: list[dict[Key, Found]]) -> None:
        """Whole items and parts; of several in a text the longest. They say more than stretches and replace them."""
        longest: dict[tuple[int, Key], Found] = {}
        for length, hashes in _of_letters(texts.letters):
            for at in self.starts[length].find(hashes).tolist():
                first = texts.word_at(at)
                if first is None:
                    continue
                for target in self.anchors[length].get(texts.letters[at : at + length], ()):
                    if (hit := _hit(target, texts, at)) is not None:
                        field, end = hit
                        place = (texts.row(first), target.key)
                        if place not in longest or end - first > longest[place].end - longest[place].first:
                            longest[place] = Found(kind="whole", field=field, first=first, end=end)
        for (row, key), one in longest.items():
            found[row][key] = one

    def judge(self, texts: list[str]) -> dict[str, list[Any]]:
        """`search`, as a column."""
        keys = Match.__slots__
        return {"matches": [[{key: getattr(match, key) for key in keys} for match in found] for found in self.search(texts)]}


class _Table:
    """Hashes of anchors, and a sieve before them: most of a text is none."""

    def __init__(self, anchors: list[str]) -> None:
        made = [next(h for length, h in _of_letters(anchor) if length == len(anchor))[:1] for anchor in anchors]
        self.known = np.unique(np.concatenate([np.empty(0, np.uint64), *made]))
        self.sieve = np.zeros(1 << 20, bool)
        self.sieve[_folded(self.known)] = True

    def find(self, hashes: Hashes) -> npt.NDArray[np.int64]:
        if not len(self.known):
            return np.empty(0, np.int64)
        likely = np.flatnonzero(self.sieve[_folded(hashes)])
        return likely[_among(hashes[likely], self.known)]


def _folded(hashes: Hashes) -> Hashes:
    return (hashes * _MULTIPLIER) >> np.uint64(44)


def _among(hashes: Hashes, known: Hashes) -> npt.NDArray[np.int64]:
    """Where a hash is a known one; 0 is none."""
    if not len(known):
        return np.empty(0, np.int64)
    there = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return np.flatnonzero((known[there] == hashes) & (hashes != 0))


def _numbered(said: Iterable[str], numbers: Mapping[str, int]) -> Hashes:
    return np.fromiter((numbers.get(word, 0) for word in said), np.uint64)


def _of_words(numbers: Hashes, length: int) -> Hashes:
    """Hash of each stretch of `length` words; 0 where one of them is unknown."""
    count = max(len(numbers) - length + 1, 0)
    hashes, known = np.zeros(count, np.uint64), np.ones(count, bool)
    for offset in range(length):
        window = numbers[offset : offset + count]
        hashes = hashes * _MULTIPLIER + window
        known &= window != 0
    return np.where(known, hashes, np.uint64(0))


def _of_letters(letters: str) -> Iterable[tuple[int, Hashes]]:
    """Length and hash of each stretch, the lengths doubling up to the longest anchor."""
    hashes = np.frombuffer(letters.encode("utf-32-le"), np.uint32).astype(np.uint64)
    length, power = 1, _MULTIPLIER
    while length < ANCHORS[0] and len(hashes) > length:
        hashes = hashes[:-length] * power + hashes[length:]
        length, power = 2 * length, np.uint64(int(power) ** 2 % (1 << 64))
        if length in ANCHORS:
            yield length, hashes


def _longest(stretches: list[tuple[int, int, str]]) -> Found:
    """The longest run of stretches that overlap or touch, each beginning after the one before."""
    runs: list[tuple[int, int, list[str]]] = []
    for start, stop, field in stretches:
        if runs and start <= runs[-1][1]:
            begin, _, fields = runs.pop()
            fields.append(field)
        else:
            begin, fields = start, [field]
        runs.append((begin, stop, fields))
    first, end, fields = max(runs, key=lambda run: run[1] - run[0])
    parts = dict.fromkeys(part for field in fields for part in field.split("+"))
    return Found(kind="ngram", field="+".join(parts), first=first, end=end)


def _hit(target: Target, texts: Texts, at: int) -> tuple[str, int] | None:
    """The item's parts and the word behind the match, where the target's letters stand at `at` and end with a word."""
    if not texts.letters.startswith(target.letters, at):
        return None
    stop = at + len(target.letters)
    if not (target.answer or target.choices):
        end = texts.word_at(stop)
        return None if end is None else (target.field, end)
    if texts.word_at(stop) is None:
        return None
    behind = _behind(target.answer, texts, stop, NEAR)
    if behind is not None:
        return f"{target.field}answer", behind
    reach = NEAR + sum(len(choice) + LABEL for choice in target.choices)
    ends = [_behind(choice, texts, stop, reach) for choice in target.choices if choice]
    whole = len(ends) > 1 and all(end is not None for end in ends)
    return (f"{target.field}choices", max(end for end in ends if end is not None)) if whole else None


def _behind(letters: str, texts: Texts, start: int, reach: int) -> int | None:
    """The word behind `letters`, if they begin with a word at most `reach` after `start`, in the same text."""
    stop = texts.letters.find("\0", start)
    at = texts.letters.find(letters, start, min(stop, start + reach + len(letters))) if letters else -1
    while at >= 0:
        end = texts.word_at(at + len(letters))
        if end is not None and texts.word_at(at) is not None:
            return end
        at = texts.letters.find(letters, at + 1, min(stop, start + reach + len(letters)))
    return None


def _match(key: Key, found: Found, text: str, spots: list[tuple[int, int]], words: list[str], begin: int) -> Match:
    start, end = in_raw(text, spots[found.first - begin][0], spots[found.end - begin - 1][1])
    said = " ".join(words[found.first : found.end])
    return Match(benchmark=key[0], item=key[1], kind=found.kind, field=found.field, start=start, end=end, span=said)

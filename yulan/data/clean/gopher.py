"""Gopher's rules (Rae et al., arXiv 2112.11446, appendix A.1.1 and table A1), as FineWeb counts them.

What a rule measures is a share of the text's characters or words; each threshold stands in the recipe.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from yulan.data.clean.lexicon import Ints, Words, lexicon
from yulan.recipe.cleaning import GopherLines, GopherNgrams, GopherQuality

_PARAGRAPHS, _LINES = re.compile(r"\n{2,}"), re.compile(r"\n+")
_BULLET = re.compile(r"^\s*[•-]", re.MULTILINE)
_ELLIPSIS = re.compile(r"(?:\.\.\.|…)\s*$", re.MULTILINE)
# A fixed odd number: hashes must be equal on every machine, and nobody attacks them here.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def repeated(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts repeat an earlier one, and their characters."""
    if len(set(parts)) == len(parts):
        return 0, 0
    extra = Counter(parts)
    return len(parts) - len(extra), sum(len(part) * (count - 1) for part, count in extra.items())


def judge_lines(texts: Sequence[str], rules: GopherLines) -> list[str | None]:
    return [_lines(text, rules) for text in texts]


def _lines(text: str, rules: GopherLines) -> str | None:
    lines = _LINES.split(text)
    if len(set(lines)) == len(lines):
        return None  # then no paragraph is there twice
    for name, parts, share, chars in (
        ("paragraph", _PARAGRAPHS.split(text.strip()), rules.max_repeated_paragraphs, rules.max_repeated_paragraph_chars),
        ("line", lines, rules.max_repeated_lines, rules.max_repeated_line_chars),
    ):
        count, length = repeated(parts)
        if count > share * len(parts):
            return f"gopher-repeated-{name}s"
        if length > chars * len(text):
            return f"gopher-repeated-{name}-chars"
    return None


def judge_ngrams(texts: Sequence[str], rules: GopherNgrams) -> list[str | None]:
    """Most frequent 2- to 4-grams, repeated 5- to 10-grams.

    Counting is dear, so a text is counted only where a bound does not acquit it: a 3- or 4-gram is at most two 2-grams and
    a space, and what longer repeats cover is covered by repeated 5-grams.
    """
    found = np.full(len(texts), None, object)
    words = lexicon().read(texts)
    lengths = lexicon().lengths(words)
    sizes = np.array([len(text) for text in texts], np.int64)
    suspects = np.flatnonzero(_heaviest_pair(words, lengths) > min(rules.top[0], min(rules.top[1:]) / 2) * sizes)
    for n, most in enumerate(rules.top, 2):
        some = words.only(suspects)
        guilty = _top_chars(some, lexicon().lengths(some), n) > most * sizes[suspects]
        found[suspects[guilty]] = f"gopher-top-{n}-gram"
        suspects = suspects[~guilty]
    suspects = np.flatnonzero((_covered(words, lengths, 5) > min(rules.repeated) * sizes) & (found == None))  # noqa: E711
    for n, most in enumerate(rules.repeated, 5):
        some = words.only(suspects)
        chars = _repeated_chars(some, lexicon().lengths(some), n, most * sizes[suspects])
        guilty = chars > most * sizes[suspects]
        found[suspects[guilty]] = f"gopher-repeated-{n}-grams"
        suspects = suspects[~guilty]
    made: list[str | None] = found.tolist()
    return made


def _grams(words: Words, n: int) -> tuple[Ints, Ints]:
    """First word of every n-gram inside one text, and numbers that are equal where n-grams of one text are."""
    owner = words.owner()
    count = max(0, len(words.ids) - n + 1)
    starts = np.flatnonzero(owner[:count] == owner[len(owner) - count :])
    hashed, ids = (owner[starts].astype(np.uint64) + np.uint64(1)) * _FACTOR, words.ids.astype(np.uint64)
    for step in range(n):
        hashed = (hashed ^ (hashed >> np.uint64(29)) ^ ids[starts + step]) * _FACTOR
    return starts, hashed.view(np.int64)


def _groups(hashed: Ints) -> tuple[Ints, Ints, Ints]:
    """Order that brings equal numbers together; where each group begins in it; its size."""
    order = np.argsort(hashed)
    ordered = hashed[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(order)])
    return order, begins, np.diff(np.append(begins, len(order)))


def _heaviest_pair(words: Words, lengths: Ints) -> Ints:
    """For each text the largest (characters + 2) x times of a 2-gram; int64 (texts,)."""
    made = np.zeros(len(words.bounds) - 1, np.int64)
    starts, hashed = _grams(words, 2)
    order, begins, sizes = _groups(hashed)
    first = starts[order[begins]]
    np.maximum.at(made, words.owner()[first], (lengths[first] + lengths[first + 1] + 2) * sizes)
    return made


def _top_chars(words: Words, lengths: Ints, n: int) -> Ints:
    """For each text the characters, spaces included, in its most frequent n-gram, the first of several; int64 (texts,)."""
    made = np.zeros(len(words.bounds) - 1, np.int64)
    starts, hashed = _grams(words, n)
    if not len(starts):
        return made
    order, begins, times = _groups(hashed)
    first = np.minimum.reduceat(starts[order], begins)
    best = np.lexsort((first, -times))[::-1]
    chosen = np.zeros(len(made), np.int64)
    # Later writes win: the last one of each text is the most frequent, then the earliest.
    chosen[words.owner()[first[best]]] = best
    some = np.unique(words.owner()[starts])
    sums = np.concatenate([[0], np.cumsum(lengths)])
    at = first[chosen[some]]
    made[some] = (sums[at + n] - sums[at] + n - 1) * times[chosen[some]]
    return made


def _again(starts: Ints, hashed: Ints) -> Ints:
    """First words of the n-grams that repeat an earlier one."""
    order, begins, sizes = _groups(hashed)
    several = sizes > 1
    if not several.any():
        return np.empty(0, np.int64)
    first = np.minimum.reduceat(starts[order], begins)
    again = starts[order][np.repeat(several, sizes)]
    made: Ints = again[again != np.repeat(first[several], sizes[several])]
    return made


def _covered(words: Words, lengths: Ints, n: int) -> Ints:
    """Characters of each text in n-grams that stand earlier in it; int64 (texts,)."""
    again = _again(*_grams(words, n))
    covered = np.zeros(len(words.ids), bool)
    for step in range(n):
        covered[again + step] = True
    return words.total(np.where(covered, lengths, 0))


def _repeated_chars(words: Words, lengths: Ints, n: int, enough: npt.NDArray[np.floating[Any]]) -> Ints:
    """Characters of each text in n-grams that repeat an earlier one, read from the left and none counted twice.

    Counted where what is covered is more than `enough`, else 0, and no further than past `enough`. Returns: int64 (texts,).
    """
    made = np.zeros(len(words.bounds) - 1, np.int64)
    doubtful = np.flatnonzero(_covered(words, lengths, n) > enough)
    starts, hashed = _grams(words, n)
    begin, end = np.searchsorted(starts, words.bounds[doubtful]), np.searchsorted(starts, words.bounds[doubtful + 1])
    sums = np.concatenate([[0], np.cumsum(lengths)])
    chars = sums[starts + n] - sums[starts]
    for text, left, right in zip(doubtful.tolist(), begin.tolist(), end.tolist(), strict=True):
        made[text] = _read_once(hashed[left:right].tolist(), chars[left:right].tolist(), n, float(enough[text]))
    return made


def _read_once(grams: list[int], chars: list[int], n: int, enough: float) -> int:
    seen: set[int] = set()
    total = start = 0
    while start < len(grams) and total <= enough:
        if grams[start] in seen:
            total += chars[start]
            start += n
        else:
            seen.add(grams[start])
            start += 1
    return total


def judge_quality(texts: Sequence[str], rules: GopherQuality) -> list[str | None]:
    words = lexicon().read(texts)
    flags, count = lexicon().flags(words), np.diff(words.bounds)
    spoken = (flags & 2) != 0
    number = words.total(spoken)
    mean = words.total(np.where(spoken, lexicon().lengths(words), 0)) / np.maximum(number, 1)
    stops = lexicon().stops(words) if rules.min_stop_words else count
    lettered = words.total((flags & 1) != 0)
    hashes = np.array([text.count("#") for text in texts], np.int64)
    dots = np.array([text.count("...") + text.count("…") for text in texts], np.int64)
    lines = np.array([len(text.splitlines()) for text in texts], np.int64)
    bullets = np.array([len(_BULLET.findall(text)) if "-" in text or "•" in text else 0 for text in texts], np.int64)
    trails = np.array([len(_ELLIPSIS.findall(text)) if dot else 0 for text, dot in zip(texts, dots, strict=True)], np.int64)
    faults = {
        "gopher-short": number < rules.min_words,
        "gopher-long": number > rules.max_words,
        "gopher-short-words": mean < rules.min_mean_word,
        "gopher-long-words": mean > rules.max_mean_word,
        "gopher-hashes": hashes > rules.max_symbols * count,
        "gopher-ellipses": dots > rules.max_symbols * count,
        "gopher-bullets": bullets > rules.max_bullet_lines * lines,
        "gopher-ellipsis-lines": trails > rules.max_ellipsis_lines * lines,
        "gopher-few-alphabetic": lettered < rules.min_alphabetic_words * count,
        "gopher-few-stop-words": stops < rules.min_stop_words,
    }
    first = np.argmax(np.stack(list(faults.values())), axis=0).tolist() if texts else []
    names = list(faults)
    return [names[at] if faults[names[at]][text] else None for text, at in enumerate(first)]

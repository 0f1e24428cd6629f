"""The words in which de-duplication and decontamination compare texts."""

import re
import unicodedata
from functools import cache
from pathlib import Path

# Scripts written without spaces between words: kana, and Han with its extensions.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")
# Emphasis is written with underscores, so they are punctuation where a leak is looked for.
_PLAIN = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")
# Soft hyphens, joiners, marks of direction, byte order marks: nobody sees them, and they cut words in two.
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]")


def words(text: str) -> list[str]:
    """Words without case, width or punctuation; in scripts without spaces each character is a word.

    >>> words("Ｔhe cat, 人工!")
    ['the', 'cat', '人', '工']
    """
    return _WORD.findall(text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold())


@cache
def simplified() -> dict[int, int]:
    """Traditional Chinese characters to simplified ones, for `str.translate`."""
    lines = Path(__file__).with_name("simplified.txt").read_text(encoding="utf-8").splitlines()
    return {ord(pair[0]): ord(pair[1]) for line in lines if not line.startswith("#") for pair in line.split()}


def normal(text: str) -> str:
    """A text without case, width and what cannot be seen, Chinese simplified; a longer text has no shorter normal form."""
    if text.isascii():
        return text.casefold()
    return _UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold()).translate(simplified())


def plain_words(text: str) -> list[str]:
    """As `words`, underscores and unseen characters left out too, and Chinese simplified.

    >>> plain_words("_The_ c\\u00adat 漢")
    ['the', 'cat', '汉']
    """
    return _PLAIN.findall(normal(text))


def places(text: str) -> list[tuple[int, int]]:
    """Of each of `plain_words`: first character and end, in the normal form."""
    return [found.span() for found in _PLAIN.finditer(normal(text))]


def in_raw(text: str, start: int, end: int) -> tuple[int, int]:
    """Characters of the text itself that became [start, end) of its normal form."""
    if text.isascii():
        return start, end
    # One character may become several, and an accent behind a letter none.
    return _cut(text, start + 1) - 1, max(_cut(text, end), _cut(text, end + 1) - 1)


def _cut(text: str, length: int) -> int:
    """How many characters of a text it takes for a normal form of so many; one more than it has if there are too few."""
    low, high = 0, len(text) + 1
    while low < high:
        middle = (low + high) // 2
        if len(normal(text[:middle])) < length:
            low = middle + 1
        else:
            high = middle
    return low

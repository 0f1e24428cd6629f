"""The words in which de-duplication and decontamination compare texts."""

import re
import unicodedata

# Scripts written without spaces between words: kana, and Han with its extensions.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """Words without case, width or punctuation; in scripts without spaces each character is a word.

    >>> words("Ｔhe cat, 人工!")
    ['the', 'cat', '人', '工']
    """
    return _WORD.findall(text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold())

"""One kind of line end and space, composed characters, nothing invisible. Ids are of the raw text and do not move."""

import re
import unicodedata
from collections.abc import Iterable

_LINE_END = re.compile(r"\r\n?|[\u2028\u2029\x85\x0b\x0c]")
_WIDE_SPACE = re.compile(r"[\u3000\u00a0\u1680\u2000-\u200a\u202f\u205f]")
# Zero-width space, byte order mark and soft hyphen say nothing; joiners (200c, 200d) are part of some scripts.
_INVISIBLE = re.compile(r"[\u200b\ufeff\u00ad\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# A backslash and a space are a space of TeX: without it the next line would begin a command.
_TRAILING = re.compile(r"(?<![ \t\\])[ \t]+(?=\n)")
# NFC replaces these by other characters, not by a composed form of the same: Ohm, Kelvin, Angstrom, compatibility Han.
_UNSAFE = re.compile(r"([\u2126\u212a\u212b\uf900-\ufaff\U0002f800-\U0002fa1f]+)")
_BLOCK = re.compile(
    r"```.*?(?:```|\Z)|\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)|\\begin\{(?P<name>\w+\*?)\}.*?\\end\{(?P=name)\}"
    # A dollar opens maths where no space follows it and closes it where none stands before it, as in Pandoc.
    r"|(?<![\\\w$])\$(?=[^\s$])(?:[^$\n\\]|\\.)*?(?<=\S)\$(?![\d$])",
    re.DOTALL,
)


def repair(text: str, *, code: bool) -> str:
    """The text repaired; once is enough. What is printable ASCII stays, blanks at ends of lines apart.

    `code`: characters stay as they are; in a string literal they may be meant.
    """
    text = _LINE_END.sub("\n", text)
    if not code:
        if not text.isascii():
            text = _WIDE_SPACE.sub(" ", text)
            if not unicodedata.is_normalized("NFC", text):
                parts = _UNSAFE.split(text)
                text = "".join(part if i % 2 else unicodedata.normalize("NFC", part) for i, part in enumerate(parts))
        if not text.isascii() or not text.isprintable():
            text = _INVISIBLE.sub("", text)
    if " \n" in text or "\t\n" in text:
        text = _TRAILING.sub("", text)
    return text.strip("\n" if code else None)


def blocks(text: str) -> list[tuple[int, int]]:
    """Start and end of maths in TeX and of fenced code, which rules for prose leave alone."""
    if "$" not in text and "\\" not in text and "```" not in text:
        return []
    return [match.span() for match in _BLOCK.finditer(text)]


def join_lines(lines: Iterable[str | None]) -> str:
    """Lines as one text again; None: one was taken out, and of the empty lines around it one is enough."""
    made: list[str] = []
    gap = False
    for line in lines:
        if line is None:
            gap = True
        elif line or not gap or (made and made[-1]):
            made.append(line)
            gap = gap and not line
    while gap and made and not made[-1]:
        made.pop()
    return "\n".join(made)

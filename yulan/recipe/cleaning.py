"""`data.clean`: which filters judge which family of sources, and every threshold with where it is from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from yulan.errors import RecipeError

Filter = Literal[
    "length",
    "letters",
    "language",
    "gopher-lines",
    "gopher-ngrams",
    "gopher-quality",
    "c4",
    "fineweb",
    "licence-header",
    "generated",
    "minified",
    "python-syntax",
]
Mask = Literal["email", "phone", "ip", "key"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Treatment:
    """What is done to the documents of a family."""

    filters: tuple[Filter, ...]
    """In this order; the first that objects drops the document."""
    mask: tuple[Mask, ...]
    """Personal data that is replaced by its name: <EMAIL>, <PHONE>, <IP>, <KEY>."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    min_chars: int
    max_chars: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """fastText's lid.176 (arXiv 1612.03651)."""

    confidence: float
    """Least probability of the source's language; `mul` and `code` are exempt. CCNet (arXiv 1911.00359): 0.5; FineWeb: 0.65."""
    chars: int
    """Characters from the middle that are judged: articles begin with foreign names, and more take longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GopherLines:
    """Repeated lines and paragraphs. Gopher, table A1: 0.30, 0.20, 0.30, 0.20."""

    max_repeated_lines: float
    """Share of lines that repeat an earlier one."""
    max_repeated_line_chars: float
    """Characters in them, as a share of the text."""
    max_repeated_paragraphs: float
    """Share of paragraphs that repeat an earlier one."""
    max_repeated_paragraph_chars: float
    """Characters in them, as a share of the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GopherNgrams:
    """Repeated words, as shares of the text's characters. Gopher, table A1."""

    top: tuple[float, ...]
    """In the most frequent 2-, 3- and 4-gram. Gopher: 0.20, 0.18, 0.16."""
    repeated: tuple[float, ...]
    """In 5-, 6-, ... 10-grams that repeat an earlier one. Gopher: 0.15, 0.14, 0.13, 0.12, 0.11, 0.10."""

    def __post_init__(self) -> None:
        for name, values, count in (("top", self.top, 3), ("repeated", self.repeated, 6)):
            if len(values) != count:
                raise RecipeError(
                    f"{len(values)} shares instead of {count}",
                    where=f"$.data.clean.gopher_ngrams.{name}",
                    cure="Give one for each length of n-gram",
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class GopherQuality:
    """Gopher, appendix A.1.1. English: stop words are counted."""

    min_words: int
    """Words that are more than punctuation. Gopher: 50."""
    max_words: int
    """Gopher: 100,000."""
    min_mean_word: float
    """Characters. Gopher: 3."""
    max_mean_word: float
    """Characters. Gopher: 10."""
    max_symbols: float
    """Ratio of '#', and of '...', to words. Gopher: 0.1."""
    max_bullet_lines: float
    """Share of lines that begin with a bullet. Gopher: 0.9."""
    max_ellipsis_lines: float
    """Share of lines that end with an ellipsis. Gopher: 0.3."""
    min_alphabetic_words: float
    """Share of words with a letter. Gopher: 0.8."""
    min_stop_words: int
    """Different ones of the, be, to, of, and, that, have, with. Gopher: 2."""


@dataclass(frozen=True, kw_only=True, slots=True)
class C4:
    """C4 (Raffel et al., arXiv 1910.10683, section 2.2): lines are taken out, then the document is judged."""

    terminal_punctuation: bool
    """Take out lines that do not end with one. C4: true; FineWeb (arXiv 2406.17557): false."""
    min_words_in_line: int
    """Words between spaces; shorter lines are taken out. C4: 3."""
    max_word_chars: int
    """Lines with a longer word are taken out. C4: 1,000."""
    min_sentences: int
    """In the lines that are left. C4: 5."""
    braces: bool
    """A curly bracket in a line, maths and fenced code apart, drops the document. C4: true."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fineweb:
    """FineWeb (Penedo et al., arXiv 2406.17557) and its published code."""

    min_punctuated_lines: float
    """Share of lines that end with punctuation. FineWeb: 0.12."""
    short_line_chars: int
    """A line of at most so many is short. FineWeb: 30."""
    max_short_lines: float
    """Share of lines. FineWeb: 0.67."""
    max_repeated_line_chars: float
    """Characters in lines that repeat an earlier one, as a share of the text. FineWeb: 0.01 (0.1 in the paper)."""
    max_line_breaks: float
    """Line ends for each word. FineWeb: 0.3."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """Codex (Chen et al., arXiv 2107.03374, section 3.1) and SantaCoder (Ben Allal et al., arXiv 2301.03988)."""

    max_line_chars: int
    """Longest line. Codex: 1,000."""
    max_mean_line_chars: float
    """Codex: 100."""
    min_alphanumeric: float
    """Share of characters. SantaCoder: 0.25."""
    generated_lines: int
    """Lines at the top in which a generator may name itself. SantaCoder: the first few."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clean:
    families: Mapping[str, Treatment]
    """By the family of a source."""
    length: Length
    min_letters: float
    """Least share of characters, spaces apart, that are letters, ideographs or digits; ours."""
    language: Language
    gopher_lines: GopherLines
    gopher_ngrams: GopherNgrams
    gopher_quality: GopherQuality
    c4: C4
    fineweb: Fineweb
    code: Code

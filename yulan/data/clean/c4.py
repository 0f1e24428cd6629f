"""C4's rules (Raffel et al., arXiv 1910.10683, section 2.2, and its published code): lines go, then documents.

Maths in TeX and fenced code are taken for one line each: no rule cuts into them, and their braces do not count.
Unlike in C4 an empty line stays where it parts two lines that stay.
"""

import re
from collections.abc import Sequence

from yulan.data.clean.lexicon import lexicon
from yulan.data.clean.repair import blocks, join_lines
from yulan.recipe.cleaning import C4

_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_END = (".", "?", "!", '"', "'")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")


def trim(texts: Sequence[str], rules: C4) -> tuple[list[str], list[str | None]]:
    """The texts without lines that C4 takes out, and why a document is dropped."""
    made = [_trim(text, rules) for text in texts]
    return [text for text, _ in made], [reason for _, reason in made]


def _trim(text: str, rules: C4) -> tuple[str, str | None]:
    lower = text.lower()
    doubtful = "javascript" in lower or any(phrase in lower for phrase in _POLICY)
    lorem, cited = "lorem ipsum" in lower, "[" in text
    kept: list[str | None] = []
    changed, sentences = False, 0
    for line, intact in _lines(text):
        bare = line.strip()
        if not bare or intact:
            kept.append(line)
            sentences += intact
            continue
        if len(bare) > rules.max_word_chars and max(map(len, bare.split())) > rules.max_word_chars:
            kept.append(None)
            continue
        shown = _CITATION.sub("", bare).strip() if cited else bare
        if (rules.terminal_punctuation and (not shown.endswith(_END) or shown.endswith("..."))) or (
            len(bare.split(None, rules.min_words_in_line)) < rules.min_words_in_line
        ):
            kept.append(None)
            continue
        if lorem and "lorem ipsum" in shown.lower():
            return text, "c4-lorem-ipsum"
        if doubtful and "javascript" in (low := shown.lower()):
            kept.append(None)
            continue
        if rules.braces and "{" in shown:
            return text, "c4-braces"
        if doubtful and any(phrase in low for phrase in _POLICY):
            kept.append(None)
            continue
        changed = changed or shown != bare
        if sentences < rules.min_sentences:
            sentences += lexicon().sentences(shown)
        kept.append(shown)
    if sentences < rules.min_sentences:
        return text, "c4-few-sentences"
    return (join_lines(kept) if changed or None in kept else text), None


def _lines(text: str) -> list[tuple[str, bool]]:
    """Lines, and whether one has a block that must stay as it is; a block's lines come as one."""
    intact = blocks(text)
    if not intact:
        return [(line, False) for line in text.split("\n")]
    made, start = [], 0
    while start <= len(text):
        end, holds = text.find("\n", start), False
        end = len(text) if end < 0 else end
        while intact and intact[0][0] < end:
            holds = True
            stop = text.find("\n", max(end, intact.pop(0)[1]))
            end = len(text) if stop < 0 else stop
        made.append((text[start:end], holds))
        start = end + 1
    return made

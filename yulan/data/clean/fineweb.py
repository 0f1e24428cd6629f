"""FineWeb's own rules (Penedo et al., arXiv 2406.17557): texts that are lists or broken lines."""

from collections.abc import Sequence

import numpy as np

from yulan.data.clean.gopher import repeated
from yulan.data.clean.lexicon import lexicon
from yulan.recipe.cleaning import Fineweb

_ENDS = frozenset(".?!。！？．｡؟۔।॥։።፧‼‽⁇⁈⁉⸮")
"""Of Unicode's Sentence_Terminal those in use today."""


def judge(texts: Sequence[str], rules: Fineweb) -> list[str | None]:
    """Why a text is dropped; empty lines are passed over."""
    return [_fault(text, [line for line in map(str.strip, text.split("\n")) if line], rules) for text in texts]


def _fault(text: str, lines: list[str], rules: Fineweb) -> str | None:
    if not lines:
        return "fineweb-empty"
    if sum([line[-1] in _ENDS for line in lines]) < rules.min_punctuated_lines * len(lines):
        return "fineweb-few-punctuated-lines"
    if sum([len(line) <= rules.short_line_chars for line in lines]) > rules.max_short_lines * len(lines):
        return "fineweb-short-lines"
    if repeated(lines)[1] > rules.max_repeated_line_chars * (len(text) - text.count("\n")):
        return "fineweb-repeated-line-chars"
    breaks = len(lines) - 1
    # There are at least as many words as pieces between spaces.
    if breaks > rules.max_line_breaks * len(text.split()):
        words = int(np.diff(lexicon().read([text]).bounds)[0])
        if breaks > rules.max_line_breaks * words:
            return "fineweb-line-breaks"
    return None

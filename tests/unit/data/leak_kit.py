"""Items of benchmarks planted in documents, from word for word to a fifth of the words replaced."""

import random
from collections.abc import Callable, Mapping, Sequence

from yulan.data.benchmarks import Item
from yulan.data.words import plain_words

Way = Callable[[Item, random.Random], str]
EDITS = (0.02, 0.05, 0.1, 0.2)
BEFORE = "Someone put this on a page with much else around it, and nobody took it away again.\n\n"
BEHIND = "\n\nHere the page goes on, about other things, for as long as it likes."
AROUND = "有人把下面这段话贴在网页上，前后还有许多别的内容。\n\n", "\n\n下面还有别的文章，与此无关。"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def unspaced(text: str) -> bool:
    """Whether most of a text's words are characters of a script without spaces."""
    said = plain_words(text)
    return sum(len(word) == 1 and ord(word) > 0x3000 for word in said) * 2 > len(said)


def whole(item: Item) -> str:
    return item.text


def wrapped(text: str) -> str:
    before, behind = AROUND if unspaced(text) else (BEFORE, BEHIND)
    return f"{before}{text}{behind}"


def wide(text: str) -> str:
    """Full-width forms of ASCII, as East Asian typography has them."""
    return "".join("\u3000" if c == " " else chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def punctuated(item: Item, draw: random.Random) -> str:
    """Other signs between words, and none where there were some."""
    bare = "".join(c if c.isalnum() or c.isspace() else " " for c in item.text)
    return "".join(f"{draw.choice(['; ', ' -- ', ', ', '…', '/', ' _'])}" if c == " " else c for c in " ".join(bare.split()))


def cased(item: Item, draw: random.Random) -> str:
    return "".join(draw.choice((c.upper(), c.lower())) if c.isascii() else c for c in item.text)


def spaced(item: Item, draw: random.Random) -> str:
    """Line ends, no space, or a space inside a word, and unseen characters."""
    made = [draw.choice(["\n", "  ", "", "\u3000", "\u200b "]) if c == " " else c for c in item.text]
    return "".join(f"{c} " if c.isalpha() and draw.random() < 0.03 else f"{c}\u00ad" if draw.random() < 0.02 else c for c in made)


def replaced(share: float, known: Sequence[str], signs: Sequence[str]) -> Way:
    """That share of the words replaced by others, at least one; characters, in scripts without spaces."""

    def way(item: Item, draw: random.Random) -> str:
        text = item.text
        inside = [at for at, c in enumerate(text) if c.isalnum()] if unspaced(text) else []
        pieces, gap = (list(text), "") if inside else (text.split(" "), " ")
        places = inside or [at for at, piece in enumerate(pieces) if plain_words(piece)]
        for at in draw.sample(places, max(1, round(share * len(places)))):
            pieces[at] = draw.choice(signs if inside else known)
        return gap.join(pieces)

    return way


def asked(item: Item, draw: random.Random) -> str:
    """Question and choices as an examination prints them, the choices in another order and the answer as a letter."""
    order = list(range(len(item.choices)))
    draw.shuffle(order)
    told = "\n".join(f"{LETTERS[n]}. {item.choices[choice]}" for n, choice in enumerate(order))
    before = f"{item.parts['passage']}\n" if "passage" in item.parts else ""
    return f"{before}{item.parts['question']}\n{told}\nKey: {LETTERS[order.index(item.answer)]}"


def answered(item: Item, draw: random.Random) -> str:
    """Question and right answer with words between them."""
    between = draw.choice(["The answer is", "A:", "Answer:", "Solution --"])
    return "\n".join(text if name != "answer" else f"{between} {text}" for name, text in item.parts.items())


def ways(known: Sequence[str], signs: Sequence[str]) -> dict[str, Way]:
    """By level of paraphrase; `known` and `signs` are the words and characters that replace others."""
    return {
        "verbatim": lambda item, _: item.text,
        "case": cased,
        "width": lambda item, _: wide(item.text),
        "punctuation": punctuated,
        "spacing": spaced,
        "words between question and answer": answered,
        "choices in another order": asked,
        "in other text": lambda item, _: wrapped(item.text),
        **{f"{share:.0%} of words replaced": replaced(share, known, signs) for share in EDITS},
    }


NORMAL = (
    "verbatim",
    "case",
    "width",
    "punctuation",
    "spacing",
    "words between question and answer",
    "choices in another order",
    "in other text",
)
"""Levels at which nothing but the form is changed: each leak must be found."""


def plant(items: Sequence[Item], levels: Mapping[str, Way], seed: int) -> dict[str, list[str]]:
    """Each item's text at each level."""
    return {name: [way(item, random.Random(f"{seed} {name} {item.id}")) for item in items] for name, way in levels.items()}

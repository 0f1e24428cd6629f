"""Gopher's, C4's and FineWeb's rules, each by a text on either side of its threshold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yulan.data.clean import c4, fineweb, gopher
from yulan.data.clean.lexicon import Lexicon, cut, lexicon
from yulan.layout import find_root
from yulan.recipe import load_recipe

RULES = load_recipe(find_root(), "yulan-mini").recipe.data.clean
"""The published thresholds."""
PROSE = (
    "The river rises in the hills of the north and flows slowly to the sea, past mills that have stood there for ages. "
    "Farmers grow barley with great care on both banks. When spring comes, meadows fill up with flowers, bees and children. "
    "Nobody remembers who built the oldest bridge. It is said to be a gift from an abbot whose name was lost in a fire. "
    "Today it carries cars and a small railway, though engineers would rather close it."
)

MONKS = "the monks slowly carried heavier stones across frozen rivers nightly"


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        ("word", ["word"]),
        ("(don't,", ["(", "do", "n't", ","]),
        ("they'll", ["they", "'ll"]),
        ("dog's.", ["dog", "'s", "."]),
        ("Mr.", ["Mr."]),
        ("U.S.", ["U.S."]),
        ("well-known...", ["well", "-", "known", "..."]),
        ("3.14", ["3.14"]),
        ("5km", ["5", "km"]),
        ("https://a.org/b?c=d", ["https://a.org/b?c=d"]),
        ("cannot", ["can", "not"]),
        ("“Yes!”", ["“", "Yes", "!", "”"]),
        ("end.Start", ["end", ".", "Start"]),
    ],
)
def test_words_are_cut_as_spacy_cuts_them(piece: str, words: list[str]):
    assert cut(piece) == words


@given(st.text())
@settings(max_examples=300)
def test_cutting_loses_no_character(text: str):
    assert "".join(word for piece in text.split() for word in cut(piece)) == "".join(text.split())


def test_a_line_has_a_sentence_more_for_each_end_that_something_follows():
    counted = [
        Lexicon().sentences(line) for line in ("One. Two! Three?", "Mr. Fox has 3.5 of it.", "No end", 'He said "Go." And went.')
    ]
    assert counted == [3, 1, 1, 2]


def test_good_prose_stays():
    assert gopher.judge_lines([PROSE], RULES.gopher_lines) == [None]
    assert gopher.judge_ngrams([PROSE], RULES.gopher_ngrams) == [None]
    assert gopher.judge_quality([PROSE], RULES.gopher_quality) == [None]
    assert c4.trim([PROSE], RULES.c4) == ([PROSE], [None])
    assert fineweb.judge([PROSE], RULES.fineweb) == [None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\nb\nc\na", None),
        ("a\nb\nb\nb", "gopher-repeated-lines"),
        ("a\n\na\n\nlong enough not to count", "gopher-repeated-paragraphs"),
        ("long line of text here\nshort\nlong line of text here\nx\ny", "gopher-repeated-line-chars"),
        ("a long paragraph of text\n\nb\n\na long paragraph of text\n\nc\n\nd", "gopher-repeated-paragraph-chars"),
    ],
)
def test_repeated_lines_and_paragraphs(text: str, reason: str | None):
    assert gopher.judge_lines([text], RULES.gopher_lines) == [reason]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("to be " * 4 + PROSE[:60], "gopher-top-2-gram"),
        (PROSE + PROSE, "gopher-repeated-5-grams"),
        (f"{PROSE} {MONKS}, and {MONKS}", "gopher-repeated-10-grams"),
        (f"{PROSE} {PROSE[-30:]}", None),
        ("", None),
        ("one", None),
    ],
)
def test_repeated_words(text: str, reason: str | None):
    assert gopher.judge_ngrams([text], RULES.gopher_ngrams) == [reason]


WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "dd", "e,", "f"]), max_size=60).map(" ".join)


@given(st.lists(WORDS, max_size=6))
@settings(max_examples=200)
def test_n_grams_are_counted_as_one_by_one(texts: list[str]):
    """The rule as table A1 has it, without bounds and without a batch."""
    assert gopher.judge_ngrams(texts, RULES.gopher_ngrams) == [_slowly(text) for text in texts]


def _slowly(text: str) -> str | None:
    words = [word for piece in text.split() for word in cut(piece)]
    for n, most in enumerate(RULES.gopher_ngrams.top, 2):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        if grams:
            top = max(grams, key=grams.count)
            if len(top) * grams.count(top) > most * len(text):
                return f"gopher-top-{n}-gram"
    for n, most in enumerate(RULES.gopher_ngrams.repeated, 5):
        seen, chars, i = set(), 0, 0
        while i <= len(words) - n:
            gram = tuple(words[i : i + n])
            chars += sum(map(len, gram)) if gram in seen else 0
            i += n if gram in seen else 1
            seen.add(gram)
        if chars > most * len(text):
            return f"gopher-repeated-{n}-grams"
    return None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE[:200], "gopher-short"),
        ("a be to of " * 30, "gopher-short-words"),
        ("the and incomprehensibilities " * 30 + "interconnectedness " * 30, "gopher-long-words"),
        (PROSE + " #" * 12, "gopher-hashes"),
        (PROSE.replace(".", "... ...").replace(",", "... ..."), "gopher-ellipses"),
        ("\n".join(f"- {line}" for line in PROSE.split(". ")), "gopher-bullets"),
        (PROSE.replace(". ", "...\n") + "...", "gopher-ellipsis-lines"),
        (PROSE + " 12 : 34 ; 56" * 6, "gopher-few-alphabetic"),
        ("Rivers flow slowly while mills grind barley for the many bees. " * 8, "gopher-few-stop-words"),
    ],
)
def test_quality(text: str, reason: str):
    assert gopher.judge_quality([PROSE, text], RULES.gopher_quality) == [None, reason]


@pytest.mark.parametrize("reason", ["c4-lorem-ipsum", "c4-braces", "c4-few-sentences"])
def test_c4_drops_a_document(reason: str):
    text = {
        "c4-lorem-ipsum": PROSE + "\nNow lorem ipsum dolor.",
        "c4-braces": PROSE + "\nif (a) { return b; }",
        "c4-few-sentences": "One sentence of words here. And a second one.",
    }[reason]
    assert c4.trim([text], RULES.c4) == ([text], [reason])


def test_c4_takes_out_lines():
    noise = ["Menu", "Please enable Javascript to go on.", "We use cookies, as sites do.", "x" * 1001 + " a b c", "Two words"]
    text = "\n".join([noise[0], PROSE, "", *noise[1:], "", "The end has come. [12]"])
    assert c4.trim([text], RULES.c4) == ([PROSE + "\n\nThe end has come."], [None])


def test_rules_for_lines_leave_maths_and_code_alone():
    text = f"Hi\n{PROSE}\n$$\n{{a}}^2\n$$\n```\n{{\n}}\n```\nSo $x$ it"
    assert c4.trim([text], RULES.c4) == (["\n".join(text.split("\n")[1:])], [None])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n\n", "fineweb-empty"),
        ("\n".join(["no full stop at the end of this line here"] * 9), "fineweb-few-punctuated-lines"),
        ("Short.\nLines.\nAll.\nHere.", "fineweb-short-lines"),
        (f"{PROSE}\n{PROSE}", "fineweb-repeated-line-chars"),
        ("\n".join(f"{word * 31}." for word in "abcdefghij"), "fineweb-line-breaks"),
    ],
)
def test_lists_and_broken_lines(text: str, reason: str):
    assert fineweb.judge([text], RULES.fineweb) == [reason]


def test_a_batch_does_not_change_a_decision():
    texts = [PROSE, PROSE * 2, "to be " * 9, PROSE[:100], "", PROSE + "\n- a" * 30]
    together = gopher.judge_ngrams(texts, RULES.gopher_ngrams), gopher.judge_quality(texts, RULES.gopher_quality)
    lexicon().forget()
    alone = [
        (gopher.judge_ngrams([t], RULES.gopher_ngrams)[0], gopher.judge_quality([t], RULES.gopher_quality)[0]) for t in texts
    ]
    assert list(zip(*together, strict=True)) == alone

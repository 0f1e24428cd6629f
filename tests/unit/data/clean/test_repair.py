"""Repair unifies line ends and spaces, is done once, and leaves maths and code as they are."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yulan.data.clean.repair import blocks, repair

PRINTABLE = [chr(n) for n in range(32, 127)]
MATHS = st.lists(
    st.sampled_from([r"\frac{a}{b}", r"\\", "x_{1}", "^2", "&", r"\ ", r"\alpha", " ", "+", "=", "\n", r"\{", "|x|", "\t", "%"]),
    max_size=30,
).map("".join)


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("宽　空\u00a0格", "宽 空 格"),
        ("  end \t\n next  ", "end\n next"),
        ("zero\u200bwidth\ufeff soft\u00adhyphen\x00\x1b", "zerowidth softhyphen"),
        ("e\u0301", "é"),
        ("5 \u2126 e\u0301 \uf900", "5 \u2126 é \uf900"),
        ("क\u200dष", "क\u200dष"),
        ("a\\ \nb", "a\\ \nb"),
    ],
)
def test_text_is_repaired(text: str, repaired: str):
    assert repair(text, code=False) == repaired


def test_code_keeps_its_characters():
    assert repair("x = '　\u200b'  \r\n\ty\n", code=True) == "x = '　\u200b'\n\ty"


@given(st.text(), st.booleans())
@settings(max_examples=300)
def test_repair_is_done_once(text: str, code: bool):
    assert repair(repair(text, code=code), code=code) == repair(text, code=code)


@given(st.text(alphabet=[*PRINTABLE, "\n", "\t"]))
@settings(max_examples=300)
def test_of_printable_ascii_only_blanks_at_ends_go(text: str):
    assert repair(text, code=False) == re.sub(r"(?<![ \t\\])[ \t]+(?=\n)", "", text).strip()


@given(MATHS)
def test_maths_in_ascii_stays(inside: str):
    text = re.sub(r"[ \t]+\n", "\n", f"Let\n$$\n{inside}.\n$$\nbe so.")
    assert repair(text, code=False) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It costs $5 and $6.", []),
        ("So $x_1 < 2$ holds.", ["$x_1 < 2$"]),
        ("$$\nE = mc^2\n$$ and \\(a\\), \\[b\\]", ["$$\nE = mc^2\n$$", "\\(a\\)", "\\[b\\]"]),
        ("\\begin{align*}a &= b\\\\\\end{align*}", ["\\begin{align*}a &= b\\\\\\end{align*}"]),
        ("Run:\n```sh\necho {a}\n```\nDone.", ["```sh\necho {a}\n```"]),
    ],
)
def test_blocks_are_maths_and_fenced_code(text: str, found: list[str]):
    assert [text[start:end] for start, end in blocks(text)] == found

"""What names a person or opens a door is masked and counted; versions, private addresses and examples stay."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yulan.data.clean import KINDS
from yulan.data.clean.privacy import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+x@cs.uni-bonn.de.", "Write to <EMAIL>."),
        ("Aric Hagberg <hagberg@lanl.gov>", "Aric Hagberg <<EMAIL>>"),
        ("联系我：a1@qq.com，谢谢", "联系我：<EMAIL>，谢谢"),
        ("me@example.com, root@localhost, x@y", None),
        ("self.w@other.weight and A@B.T", None),
        (
            "from 8.8.4.4 to 192.168.0.1, 10.0.0.7, 127.0.0.1, 203.0.113.9",
            "from <IP> to 192.168.0.1, 10.0.0.7, 127.0.0.1, 203.0.113.9",
        ),
        ("version 1.2.3.4, v2.3.4.5, pkg==5.6.7.8, Section 8.8.4.4, 1.2.3.4.5, 999.1.1.1", None),
        ("at 2a00:1450:4001:81b::200e now, not 2001:db8::1, and 12:34:56", "at <IP> now, not 2001:db8::1, and 12:34:56"),
        ("+49 228 73-4567, (415) 555-2671, 415-555-2671, 1 415.555.2671", "<PHONE>, <PHONE>, <PHONE>, <PHONE>"),
        ("手机 13812345678，电话 010-62511234。", "手机 <PHONE>，电话 <PHONE>。"),
        ("2024-10-17, 978-0-306-40615-7, 1999-2003, 12345678901234, 3.14159265", None),
        ("AKIAIOSFODNN7EXAMPLE ghp_" + "a1B2" * 9, "<KEY> <KEY>"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\nend", "<KEY>\nend"),
        ("hf_" + "aB" * 17 + " and xoxb-12-34-abc", "<KEY> and <KEY>"),
    ],
)
def test_what_is_personal_is_masked(text: str, masked: str | None):
    assert mask(text, KINDS)[0] == (text if masked is None else masked)


def test_each_kind_is_counted():
    text = "a@uni.edu b@uni.edu 8.8.4.4 415-555-2671"
    assert mask(text, KINDS) == ("<EMAIL> <EMAIL> <IP> <PHONE>", {"email": 2, "phone": 1, "ip": 1})


def test_only_what_is_asked_for_is_masked():
    assert mask("a@uni.edu 8.8.4.4", ("ip",)) == ("a@uni.edu <IP>", {"ip": 1})


PIECES = st.sampled_from(
    ["a@uni.edu", "8.8.4.4", "415-555-2671", "+49 228 734567", "AKIA" + "Z" * 16, " ", ".", "@", "-", "x", "7", "\n"]
)


@given(st.lists(PIECES, max_size=20).map("".join))
@settings(max_examples=300)
def test_masking_is_done_once(text: str):
    once, _ = mask(text, KINDS)
    assert mask(once, KINDS) == (once, {})


@given(st.text(alphabet=string.ascii_letters + " \n,;!?()", max_size=200))
def test_plain_words_are_never_touched(text: str):
    assert mask(text, KINDS) == (text, {})


@given(st.integers(0, 10**9), st.sampled_from("+-*/=<>"), st.integers(0, 10**6))
def test_sums_lose_no_digit(left: int, sign: str, right: int):
    text = f"Calculate {left} {sign} {right}."
    assert mask(text, ("email", "key", "ip"))[0] == text

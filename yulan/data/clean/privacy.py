"""Personal data and keys give way to what they are: <EMAIL>, <PHONE>, <IP>, <KEY>.

StarCoder's placeholders (arXiv 2305.06161, section 4). Addresses that are reserved for examples (RFC 2606, RFC 5737) or
private name nobody and stay. The patterns of keys are those of detect-secrets 1.5 and gitleaks 8 for tokens that have a mark
of their own; passwords without one are not found.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence

from yulan.recipe.cleaning import Mask

_EMAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9](?:[\w.+%-]{0,62}[\w+-])?@(?P<host>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}"
    r"(?:[A-Za-z]{2}|com|org|net|edu|gov|mil|int|info|biz|name|app|dev|xyz|online|site|tech|cloud|email|museum))(?![\w@-]|\.\w)"
)
_RESERVED = re.compile(r"(?:.*\.)?(?:example\.(?:com|org|net|edu)|test|invalid|localhost)", re.IGNORECASE)
_V4 = re.compile(r"(?<![\w.§/-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)")
_V6 = re.compile(r"(?<![\w:.])[23][0-9a-fA-F]{3}:[0-9a-fA-F:]{2,34}(?![\w:])")
# What comes before a version or a section of four numbers.
_NUMBERED = re.compile(
    r"(?:\b(?:v|ver|version|release[ds]?|section|chapter|clause|firmware|build|upgrade[ds]? to)\b\.?|[=<>~!]=|[~^§])\s*\Z",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<![\w.+(/-])(?:"
    r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}"  # international, ITU-T E.123
    r"|(?:1[ .-])?\([2-9]\d{2}\) ?[2-9]\d{2}[.-]\d{4}|(?:1[ .-])?[2-9]\d{2}([.-])[2-9]\d{2}\1\d{4}"  # North American plan
    r"|1[3-9]\d{9}|1[3-9]\d[ -]\d{4}[ -]\d{4}|\(?0\d{2,3}\)?[ -]\d{7,8}"  # Chinese mobile numbers and area codes
    r")(?![\w-]|\.\d)"
)
_KEYS = tuple(
    (marks, re.compile(pattern, re.DOTALL))
    for marks, pattern in (
        (("PRIVATE KEY",), r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.+?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"),
        (("AKIA", "ASIA", "ABIA", "ACCA"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
        (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9_]{36}\b"),
        (("github_pat_",), r"\bgithub_pat_\w{82}\b"),
        (("glpat-",), r"\bglpat-[\w-]{20,50}"),
        (("xox",), r"\bxox[abposr]-(?:\d+-)+[A-Za-z0-9]+"),
        (("hooks.slack.com",), r"https://hooks\.slack\.com/services/T\w+/B\w+/\w+"),
        (("AIza",), r"\bAIza[\w-]{35}(?![\w-])"),
        (("k_live_",), r"\b[rs]k_live_[0-9A-Za-z]{24,}"),
        (("T3BlbkFJ",), r"\bsk-[\w-]*T3BlbkFJ[\w-]{20,}"),
        (("sk-ant-",), r"\bsk-ant-[a-z0-9]+-[\w-]{80,}"),
        (("hf_",), r"\bhf_[A-Za-z]{34}\b"),
        (("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
        (("pypi-Ag",), r"\bpypi-Ag[\w-]{70,}"),
        (("SG.",), r"\bSG\.[\w-]{22}\.[\w-]{43}"),
        (("AccountKey=",), r"(?<=AccountKey=)[A-Za-z0-9+/=]{88}"),
        (("sq0csp-",), r"\bsq0csp-[\w-]{43}"),
        (("eyJ",), r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    )
)


def mask(text: str, kinds: Sequence[Mask]) -> tuple[str, dict[Mask, int]]:
    """The text with what is personal replaced, and how much of each kind was; once is enough.

    >>> mask("Write to jo@uni.edu, not to me@example.com.", ("email",))
    ('Write to <EMAIL>, not to me@example.com.', {'email': 1})
    """
    counts: dict[Mask, int] = {}
    while True:
        total = sum(counts.values())
        for kind in kinds:
            text, count = _MASKS[kind](text)
            if count:
                counts[kind] = counts.get(kind, 0) + count
        # What one mask takes away can lay bare another match.
        if sum(counts.values()) == total:
            return text, counts


def _replace(pattern: re.Pattern[str], name: str, text: str, meant: Callable[[re.Match[str]], bool]) -> tuple[str, int]:
    count = 0

    def put(match: re.Match[str]) -> str:
        nonlocal count
        if not meant(match):
            return match[0]
        count += 1
        return name

    return pattern.sub(put, text), count


def _emails(text: str) -> tuple[str, int]:
    if "@" not in text:
        return text, 0
    return _replace(_EMAIL, "<EMAIL>", text, lambda match: not _RESERVED.fullmatch(match["host"]))


def _is_address(match: re.Match[str]) -> bool:
    try:
        if not ipaddress.ip_address(match[0]).is_global:
            return False
    except ValueError:
        return False
    return not _NUMBERED.search(match.string, max(0, match.start() - 16), match.start())


def _addresses(text: str) -> tuple[str, int]:
    text, count = _replace(_V4, "<IP>", text, _is_address)
    if "::" in text or text.count(":") > 5:
        text, more = _replace(_V6, "<IP>", text, _is_address)
        count += more
    return text, count


def _phones(text: str) -> tuple[str, int]:
    return _replace(_PHONE, "<PHONE>", text, lambda match: 8 <= sum(map(str.isdigit, match[0])) <= 15)


def _keys(text: str) -> tuple[str, int]:
    total = 0
    for marks, pattern in _KEYS:
        if any(mark in text for mark in marks):
            text, count = pattern.subn("<KEY>", text)
            total += count
    return text, total


_MASKS: dict[Mask, Callable[[str], tuple[str, int]]] = {
    "email": _emails,
    "phone": _phones,
    "ip": _addresses,
    "key": _keys,
}

"""Secrets in text: forms that detect-secrets knows, forms that its list lacks, and values that their name and entropy betray."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

PLUGINS = (
    *("ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "CloudantDetector"),
    *("DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "IbmCloudIamDetector", "JwtTokenDetector"),
    *("MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector"),
    *("SlackDetector", "SoftlayerDetector", "SquareOAuthDetector", "StripeDetector", "TelegramBotTokenDetector"),
    "TwilioKeyDetector",
)
"""All that know a form. Its detectors by entropy would name every digest, and a release has thousands."""
FORMS = {
    "Hugging Face token": r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}",
    "model API key": r"\bsk-[\w-]{30,}|\b(?:gsk|xai)_[A-Za-z0-9]{40,}|\br8_[A-Za-z0-9]{36,}",
    "Slack token": r"\bxox[abepr]-[\w-]{20,}|\bxapp-[\w-]{20,}",
    "Google key": r"\bAIza[\w-]{35}|\bGOCSPX-[\w-]{20,}|\bya29\.[\w-]{20,}",
    "registry token": r"\bnpm_[A-Za-z0-9]{36}|\bdckr_pat_[\w-]{20,}|\bpypi-AgE[\w-]{50,}",
    "cloud token": r"\bdo[opr]_v1_[a-f0-9]{64}|\bdapi[a-f0-9]{32}\b|\bdop_v1_\w{60,}|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}",
    "signed address": r"[?&]sig=[\w%+/-]{40,}|X-Amz-Signature=[0-9a-f]{64}",
    "Kaggle key": r"\"username\"\s*:\s*\"[^\"]+\"\s*,\s*\"key\"\s*:\s*\"[0-9a-f]{32}\"",
    "private key": r"PuTTY-User-Key-File-\d|\"kty\"\s*:.{0,400}\"d\"\s*:\s*\"[\w-]{30,}\"",
}
"""What detect-secrets 1.5 does not know, or knows in one file's syntax only."""
_FORMS = {kind: re.compile(form) for kind, form in FORMS.items()}
_NAMED = re.compile(
    r"""(?ix) (?<![a-z])
    (?P<name> token | secret | passw(?:or)?d | passwd | pwd | passphrase | credentials? | auth | authorization
      | (?:api|access|secret|private|account|auth|session|shared)[_.-]?key )
    (?: [_.-]? (?: id | key | value | string | raw ) )?
    (?: ["'\\]* \s* (?P<sign> => | := | [:=] ) \s* ["'\\]* (?: (?:bearer|basic|token) \s+ )? | \s+ )
    (?P<value> [^\s"'\\,;&<>(){}\[\]|`]{8,400} )"""
)
_USER = re.compile(r"://(?P<value>[^/\s:@'\"<>{}]{16,200})(?::[^@\s/]*)?@")
_BEARER = re.compile(r"(?i)\b(?:bearer|basic)\s+(?P<value>[A-Za-z0-9+/_.=-]{16,})")
_QUOTED = re.compile(r"[\"'](?P<value>[A-Za-z0-9+/_-]{40,128}={0,2})\\?[\"']")
_PLACEHOLDER = re.compile(r"(?i)^[$%]|\.\.\.|…|x{4,}|\*{3,}|0{8,}|your|example|changeme|placeholder|redacted|dummy|<")
PIECE, OVERLAP = 8_000, 500
"""Characters of a line that are looked at together; no form is longer than what two pieces share."""


def secrets_in(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(number, kind) of each line that holds what looks like a secret."""
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import transient_settings

    with transient_settings({"plugins_used": [{"name": name} for name in PLUGINS]}):
        for number, line in enumerate(lines, 1):
            found: set[str] = set()
            for piece in pieces(line):
                found |= {secret.type for secret in scan_line(piece)}
                found |= formed(piece) | set(betrayed(piece))
            for kind in sorted(found):
                yield number, kind


def pieces(line: str) -> Iterator[str]:
    """A long line in parts that overlap: a scanner's expressions take the square of what they are given."""
    for at in range(0, max(1, len(line) - OVERLAP), PIECE - OVERLAP):
        yield line[at : at + PIECE]


def formed(text: str) -> set[str]:
    """Kinds of secrets whose form stands in a text; also asked of what binary files say of themselves."""
    return {kind for kind, form in _FORMS.items() if any(not _PLACEHOLDER.search(found[0]) for found in form.finditer(text))}


def betrayed(line: str) -> Iterator[str]:
    """What has no form of its own: a value that is called a secret, or stands where one does, and looks drawn by lot."""
    for found in _NAMED.finditer(line):
        word = found["name"].lower().startswith(("pass", "pwd"))
        # People choose passwords; all else that is secret is drawn, and longer.
        least, bits = (8, 2.5) if word and found["sign"] else (16, 3.0)
        if drawn(found["value"], least=least, bits=bits):
            yield "password" if word else "secret by name"
    for form, kind, bits in ((_USER, "user of an address", 3.0), (_BEARER, "authorization", 3.0), (_QUOTED, "high entropy", 4.5)):
        if any(drawn(found["value"], least=16, bits=bits) for found in form.finditer(line)):
            yield kind


def drawn(value: str, *, least: int, bits: float) -> bool:
    """Whether a value may have been drawn by lot: letters and digits, long enough, `bits` a character, and no stand-in for one.

    What is hexadecimal has at most 4 bits a character, English words about 3 and no digits.
    """
    value = value.rstrip(".:")
    if len(value) < least or _PLACEHOLDER.search(value) or not (re.search(r"\d", value) and re.search(r"[A-Za-z]", value)):
        return False
    if bits > 4 and not (re.search(r"[a-z]", value) and re.search(r"[A-Z]", value)):
        return False
    return entropy(value) >= bits


def entropy(text: str) -> float:
    """Shannon's, in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())

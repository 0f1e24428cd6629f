"""Rules about what stands in files, whatever they are called."""

import io
import json
import os
import pickletools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from yulan.release.gate.bundle import TEXT, Bundle
from yulan.schema import load_json

HEAD = 1 << 16
"""Bytes that are looked at where a kind of file shows at its start."""
LARGEST_HEADER = 100 << 20
"""Bytes of the largest safetensors header: what the library itself accepts."""
ARCHIVES = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"7z\xbc\xaf": "7z",
}
TELLING = {"PROTO", "MARK", "GLOBAL", "STACK_GLOBAL", "PUT", "BINPUT", "REDUCE", "INST", "OBJ", "BUILD", "FRAME", "MEMOIZE"}
"""Opcodes that plain data such as `0.` does not spell."""
TOKENS = re.compile(r"hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|sk-[A-Za-z0-9]{30,}|xox[abp]-[\w-]{20,}")
PATHS = re.compile(r"(?<![\w.~/-])(?:/(?:home|root|Users|tmp|mnt|workspace|private)/[\w.-]+|[A-Z]:\\\\?Users\\)")
PLUGINS = (
    *("ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "CloudantDetector"),
    *("DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "IbmCloudIamDetector", "JwtTokenDetector"),
    *("MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector"),
    *(
        "SlackDetector",
        "SoftlayerDetector",
        "SquareOAuthDetector",
        "StripeDetector",
        "TelegramBotTokenDetector",
        "TwilioKeyDetector",
    ),
)
"""All that know a form. Detectors by entropy would name every digest."""


def no_pickle(bundle: Bundle) -> Iterator[str]:
    """No file would run code when loaded: no pickle and no archive, whatever its name."""
    for path in bundle.files():
        with path.open("rb") as file:
            head = file.read(HEAD)
        if found := executable(head):
            yield f"{bundle.name(path)} is a {found}"


def executable(head: bytes) -> str | None:
    """What a file's first bytes say it is, if that is a pickle or may hold one."""
    for magic, name in ARCHIVES.items():
        if head.startswith(magic):
            return f"{name} archive"
    if head[257:262] == b"ustar":
        return "tar archive"
    if head.startswith(b"\x93NUMPY") and b"'O'" in head[:256]:
        return "numpy array of objects"
    seen: list[str] = []
    try:
        for opcode, _, _ in pickletools.genops(io.BytesIO(head)):
            seen.append(opcode.name)
            if len(seen) == 50:
                break
    except Exception:  # the reader raises whatever broken bytes lead it to
        return None
    return "pickle" if TELLING & set(seen) else None


def safetensors_sound(bundle: Bundle) -> Iterator[str]:
    """Every safetensors file has a plain header whose tensors fill the file, without gaps and overlaps."""
    for path in bundle.files():
        if path.suffix == ".safetensors" and (wrong := unsound(path)):
            yield f"{bundle.name(path)}: {wrong}"


def unsound(path: Path) -> str | None:
    """Why a safetensors header cannot be trusted, or None."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        return unsound_header(head + file.read(min(int.from_bytes(head, "little"), LARGEST_HEADER)), size)


def unsound_header(head: bytes, size: int) -> str | None:
    """Why the header at the start of a safetensors file of `size` bytes cannot be trusted, or None."""
    length = int.from_bytes(head[:8], "little")
    if length > min(size - 8, LARGEST_HEADER):
        return f"a header of {length} bytes"
    try:
        pairs: list[tuple[str, Any]] = json.loads(head[8 : 8 + length], object_pairs_hook=list)
        names = [name for name, _ in pairs]
        spans = sorted(dict(about)["data_offsets"] for name, about in pairs if name != "__metadata__")
    except (ValueError, KeyError, TypeError, RecursionError):
        return "a header that is not one"
    if len(names) != len(set(names)):
        return "a tensor stands twice"
    at = 0
    for begin, end in spans:
        if begin != at or end < begin:
            return "tensors overlap or leave gaps"
        at = end
    return None if at == size - 8 - length else "tensors do not fill the file"


def no_remote_code(bundle: Bundle) -> Iterator[str]:
    """No file makes a client run code from the repository: no program, and no `auto_map` in a configuration."""
    for path in bundle.files():
        if path.suffix in {".py", ".so", ".sh", ".dll", ".exe", ".js", ".pyc", ".jinja"}:
            yield f"{bundle.name(path)} is a program"
        if path.name in {"config.json", "tokenizer_config.json", "generation_config.json"} and "auto_map" in load_json(path):
            yield f"{bundle.name(path)} has auto_map"


def no_secrets(bundle: Bundle) -> Iterator[str]:
    """No text file holds a token, password or private key."""
    for path in bundle.files():
        if path.suffix in TEXT:
            with path.open(encoding="utf-8", errors="replace") as file:
                for number, kind in secrets_in(file):
                    yield f"{bundle.name(path)}:{number} looks like a secret ({kind})"


def secrets_in(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(number, kind) of each line that holds what looks like a secret."""
    from detect_secrets.core.scan import scan_line
    from detect_secrets.settings import transient_settings

    with transient_settings({"plugins_used": [{"name": name} for name in PLUGINS]}):
        for number, line in enumerate(lines, 1):
            found = {secret.type for secret in scan_line(line)} if len(line) < 10_000 else set()
            if TOKENS.search(line):
                found.add("token")
            for kind in sorted(found):
                yield number, kind


def no_machine(bundle: Bundle) -> Iterator[str]:
    """No published byte tells whose machine it was: no absolute path, no host, no home."""
    host = os.uname().nodename
    # A host called `model` would be found everywhere; one with a digit or dash is a name.
    named = re.compile(rf"\b{re.escape(host)}\b") if len(host) > 4 and re.search(r"[\d-]", host) else None
    for path, number, line in _lines(bundle):
        if path.name == "tokenizer.json":
            continue
        found = PATHS.search(line) or (named and named.search(line))
        if found:
            yield f"{bundle.name(path)}:{number} names {found[0]!r}"
    for path in bundle.files():
        if path.suffix not in TEXT:
            yield from (f"{bundle.name(path)} names {found[0]!r}" for found in PATHS.finditer(_ends(path)))


def _ends(path: Path) -> str:
    """First and last bytes of a binary file: where formats keep what they say of themselves."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(max(len(head), path.stat().st_size - HEAD))
        return (head + b"\0" + file.read()).decode("latin-1")


def _lines(bundle: Bundle) -> Iterator[tuple[Path, int, str]]:
    for path in bundle.files():
        if path.suffix in TEXT:
            with path.open(encoding="utf-8", errors="replace") as file:
                for number, line in enumerate(file, 1):
                    yield path, number, line

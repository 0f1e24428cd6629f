"""Rules about what stands in files, whatever they are called."""

import io
import os
import pickletools
import re
from collections.abc import Iterator
from pathlib import Path

from yulan.release.gate.bundle import HEAD, Bundle, lines, textual
from yulan.release.gate.header import unsound
from yulan.release.gate.secrets import formed, secrets_in
from yulan.schema import load_json

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
PATHS = re.compile(r"(?<![\w.~/-])(?:/(?:home|root|Users|tmp|mnt|workspace|private)/[\w.-]+|[A-Z]:\\\\?Users\\)")


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


def no_remote_code(bundle: Bundle) -> Iterator[str]:
    """No file makes a client run code from the repository: no program, and no `auto_map` in a configuration."""
    for path in bundle.files():
        if path.suffix in {".py", ".so", ".sh", ".dll", ".exe", ".js", ".pyc", ".jinja"}:
            yield f"{bundle.name(path)} is a program"
        if path.name in {"config.json", "tokenizer_config.json", "generation_config.json"} and "auto_map" in load_json(path):
            yield f"{bundle.name(path)} has auto_map"


def no_secrets(bundle: Bundle) -> Iterator[str]:
    """No text file holds a token, password or private key, and no binary file says one of itself."""
    for path in bundle.files():
        if textual(path):
            yield from (f"{bundle.name(path)}:{number} looks like a secret ({kind})" for number, kind in secrets_in(lines(path)))
        else:
            yield from (f"{bundle.name(path)} looks like it holds a secret ({kind})" for kind in sorted(formed(_ends(path))))


def no_machine(bundle: Bundle) -> Iterator[str]:
    """No published byte tells whose machine it was: no absolute path, no host, no home."""
    host = os.uname().nodename
    # A host called `model` would be found everywhere; one with a digit or dash is a name.
    named = re.compile(rf"\b{re.escape(host)}\b") if len(host) > 4 and re.search(r"[\d-]", host) else None
    for path in bundle.files():
        if path.name == "tokenizer.json":
            continue
        if not textual(path):
            yield from (f"{bundle.name(path)} names {found[0]!r}" for found in PATHS.finditer(_ends(path)))
            continue
        for number, line in enumerate(lines(path), 1):
            if found := PATHS.search(line) or (named and named.search(line)):
                yield f"{bundle.name(path)}:{number} names {found[0]!r}"


def _ends(path: Path) -> str:
    """First and last bytes of a binary file: where formats keep what they say of themselves."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(max(len(head), path.stat().st_size - HEAD))
        return (head + b"\0" + file.read()).decode("latin-1")

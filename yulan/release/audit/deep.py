"""What only a download can tell: each different file is fetched once, hashed, looked into and thrown away."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from yulan import digest, files
from yulan.release.audit.finding import Finding
from yulan.release.audit.layouts import is_pickle_name
from yulan.release.audit.survey import Survey
from yulan.release.gate.contents import HEAD, executable
from yulan.release.gate.header import unsound

Say = Callable[[str], None]
ONES = {"F64": ("<u8", 0x7FF << 52), "F32": ("<u4", 0xFF << 23), "BF16": ("<u2", 0xFF << 7), "F16": ("<u2", 0x1F << 10)}
"""By type: the whole numbers that have its bits, and an exponent of ones."""
PIECE = 64 << 20
"""Bytes that are looked at together."""


def contents(survey: Survey, say: Say) -> Iterator[Finding]:
    """Every file has the bytes that the hub lists, is what its name says, and holds only finite weights.

    Raises: HubError: the hub does not answer; ResourceError: a file does not fit on the disk.
    """
    if survey.hub is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for seen, name, remote in survey.distinct():
            where = f"{seen.name}:{name}"
            say(f"{where}: {remote.size:,} bytes")
            files.require_space(path.parent, remote.size)
            with files.open_new(path) as file:
                for block in survey.hub.read(survey.repo, seen.commit, name):
                    file.write(block)
            whole = digest.of_file(path) == remote.sha256 if remote.sha256 else digest.git_blob_of(path) == remote.blob
            if path.stat().st_size != remote.size or not whole:
                yield Finding(id="other-bytes", severity="error", where=where, what="the hub serves other bytes than it lists")
            with path.open("rb") as file:
                head = file.read(HEAD)
            if name.endswith(".safetensors"):
                if wrong := unsound(path):
                    yield Finding(id="safetensors", severity="error", where=where, what=wrong)
                else:
                    yield from _finite(path, where)
            elif not is_pickle_name(name) and (found := executable(head)):
                yield Finding(id="pickle", severity="error", where=where, what=f"its bytes are a {found}")


def _finite(path: Path, where: str) -> Iterator[Finding]:
    """Exponents of NaN and infinity are all ones; looked for in the numbers as they are stored, a piece at a time."""
    with path.open("rb") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        told = json.loads(file.read(begin - 8))
        for name, about in sorted(told.items()):
            if name == "__metadata__" or about["dtype"] not in ONES:
                continue
            kind, ones = ONES[about["dtype"]]
            low, high = about["data_offsets"]
            file.seek(begin + low)
            left = high - low
            while left > 0 and (raw := file.read(min(left, PIECE))):
                left -= len(raw)
                if bool((np.frombuffer(raw, kind) & np.array(ones, kind) == ones).any()):
                    yield Finding(id="not-finite", severity="error", where=where, what=f"{name} holds NaN or infinity")
                    break

"""Rules that read a few bytes of large files: what they are, whether headers are sound, whether weights are the master's cast."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from yulan.release.audit.finding import Finding
from yulan.release.audit.layouts import is_pickle_name, weights
from yulan.release.audit.survey import Seen, Survey
from yulan.release.gate.contents import HEAD, executable
from yulan.release.gate.header import LARGEST_HEADER, unsound_header

FILES = 8
"""Files, spread over the listing, of which a head is read."""
SLICES, WIDTH = 4, 1024
"""Tensors of a revision that are compared with the master, and numbers of each."""


def spread(items: list[Any], most: int) -> list[Any]:
    """At most `most` of them, first and last among them, at equal distances."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def heads(survey: Survey) -> Iterator[Finding]:
    """No file is a pickle or an archive under another name, and safetensors headers are sound; asked of a sample."""
    large = [
        (seen, name, remote)
        for seen, name, remote in survey.distinct()
        if not is_pickle_name(name) and (remote.sha256 is not None or PurePosixPath(name).suffix in {".safetensors", ".bin"})
    ]
    # A suffix that pickles share with harmless files is looked into wherever it stands.
    doubtful = [each for each in large if each[1].endswith(".bin")]
    others = [each for each in large if not each[1].endswith(".bin")]
    for seen, name, remote in doubtful + spread(others, FILES):
        head = survey.part(seen, name, 0, min(remote.size, HEAD))
        if head is None:
            continue
        where = f"{seen.name}:{name}"
        if PurePosixPath(name).suffix == ".safetensors":
            length = int.from_bytes(head[:8], "little")
            if 8 + length > len(head) and length <= min(LARGEST_HEADER, remote.size):
                head += survey.part(seen, name, len(head), 8 + length - len(head)) or b""
            if wrong := unsound_header(head, remote.size):
                yield Finding(id="safetensors", severity="error", where=where, what=wrong)
        elif found := executable(head):
            yield Finding(id="pickle", severity="error", where=where, what=f"its bytes are a {found}")
    if len(others) > FILES:
        what = f"{FILES} of {len(others)} large files were looked into; --deep reads all"
        yield Finding(id="sampled", severity="note", where=survey.repo.id, what=what)


def header(survey: Survey, seen: Seen, name: str) -> tuple[int, dict[str, Any]]:
    """Where a safetensors file's tensors begin, and what each is; (0, {}) if it cannot be read."""
    size = seen.files[name].size
    length = int.from_bytes(survey.part(seen, name, 0, 8) or b"", "little")
    if not 0 < length <= min(LARGEST_HEADER, size - 8):
        return 0, {}
    raw = survey.part(seen, name, 8, length)
    try:
        told = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        return 0, {}
    return 8 + length, {name: about for name, about in told.items() if name != "__metadata__"} if isinstance(told, dict) else {}


def casts(model: Survey, states: Survey) -> Iterator[Finding]:
    """Released weights are the stated cast of the fp32 master of the same revision; asked of a sample by range requests."""
    by_name = {seen.name: seen for seen in states.revisions}
    pairs = [(seen, by_name[seen.name]) for seen in model.revisions if seen.name in by_name and weights(seen.files)]
    checked = 0
    for seen, master in spread(pairs, 4):
        theirs, ours = tensors(model, seen), tensors(states, master)
        if not ours:
            continue
        if not theirs.keys() <= ours.keys():
            # A folded Llama has other names and products; the gate and --deep compute them.
            continue
        for name in spread(sorted(theirs), SLICES):
            one, two = _numbers(model, seen, *theirs[name]), _numbers(states, master, *ours[name])
            checked += 1
            if one is None or two is None or not np.array_equal(one, _cast(two, theirs[name][1]["dtype"])):
                yield Finding(id="cast", severity="error", where=seen.name, what=f"{name} is not the cast of the master's")
    if not checked:
        what = "no revision has both weights and an unfolded fp32 master; --deep folds and compares"
        yield Finding(id="cast-unchecked", severity="note", where=model.repo.id, what=what)


def tensors(survey: Survey, seen: Seen) -> dict[str, tuple[str, dict[str, Any], int]]:
    """(file, what it is, first byte) of each tensor among a revision's weights."""
    found: dict[str, tuple[str, dict[str, Any], int]] = {}
    for name in weights(seen.files):
        if name.endswith(".safetensors"):
            begin, told = header(survey, seen, name)
            found |= {tensor: (name, about, begin) for tensor, about in told.items() if isinstance(about, dict)}
    return found


def _numbers(survey: Survey, seen: Seen, file: str, about: dict[str, Any], begin: int) -> npt.NDArray[np.uint32] | None:
    """The first numbers of a tensor, as fp32 bit patterns (F32), or bf16 ones in the upper half (BF16)."""
    try:
        width = {"F32": 4, "BF16": 2}[about["dtype"]]
        low, high = (int(offset) for offset in about["data_offsets"])
    except (KeyError, TypeError, ValueError):
        return None
    raw = survey.part(seen, file, begin + low, min(high - low, WIDTH * width)) or b""
    if len(raw) % width:
        return None
    numbers = np.frombuffer(raw, "<u4" if width == 4 else "<u2").astype(np.uint32)
    return numbers if width == 4 else np.left_shift(numbers, np.uint32(16))


def _cast(bits: npt.NDArray[np.uint32], dtype: str) -> npt.NDArray[np.uint32]:
    """fp32 bit patterns rounded to nearest even bf16, in the upper half, as torch's cast rounds."""
    if dtype == "F32":
        return bits
    rounded = bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)
    return (rounded & 0xFFFF0000).astype(np.uint32)

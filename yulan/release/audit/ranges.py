"""Rules that read the first bytes of large files: what they are, and whether headers are sound."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from yulan.release.audit.finding import Finding
from yulan.release.audit.layouts import is_pickle_name
from yulan.release.audit.survey import Survey, spread
from yulan.release.gate.contents import HEAD, executable
from yulan.release.gate.header import unsound_header

FILES, DOUBTFUL = 8, 32
"""Files, spread over the listing, of which a head is read; and of those with a suffix that pickles share with harmless ones."""
LONGEST = 16 << 20
"""Bytes of the longest safetensors header that is read: a thousand tensors take 120 KB."""


def heads(survey: Survey) -> Iterator[Finding]:
    """No file is a pickle or an archive under another name, and safetensors headers are sound; asked of a sample."""
    if survey.deep or survey.hub is None:
        return
    large = [
        (seen, name, remote)
        for seen, name, remote in survey.distinct()
        if not is_pickle_name(name) and (remote.sha256 is not None or PurePosixPath(name).suffix in {".safetensors", ".bin"})
    ]
    doubtful = [each for each in large if each[1].endswith(".bin")]
    others = [each for each in large if not each[1].endswith(".bin")]
    for seen, name, remote in spread(doubtful, DOUBTFUL) + spread(others, FILES):
        head = survey.part(seen, name, 0, min(remote.size, HEAD))
        if head is None:
            continue
        where = f"{seen.name}:{name}"
        if PurePosixPath(name).suffix == ".safetensors":
            length = int.from_bytes(head[:8], "little")
            if length > LONGEST:
                wrong: str | None = f"a header of {length} bytes"
            else:
                if len(head) < 8 + length <= remote.size:
                    head += survey.part(seen, name, len(head), 8 + length - len(head)) or b""
                wrong = unsound_header(head, remote.size)
            if wrong:
                yield Finding(id="safetensors", severity="error", where=where, what=wrong)
        elif found := executable(head):
            yield Finding(id="pickle", severity="error", where=where, what=f"its bytes are a {found}")
    if len(others) > FILES or len(doubtful) > DOUBTFUL:
        looked = min(len(others), FILES) + min(len(doubtful), DOUBTFUL)
        what = f"{looked} of {len(large)} large files were looked into; --deep reads all"
        yield Finding(id="sampled", severity="note", where=survey.repo.id, what=what)

"""What only a download can tell: each different file is fetched once, hashed, looked into and thrown away."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from yulan import digest, files
from yulan.release.audit.finding import Finding
from yulan.release.audit.layouts import is_pickle_name
from yulan.release.audit.ranges import HEAD
from yulan.release.audit.survey import Survey
from yulan.release.gate.contents import executable
from yulan.release.gate.header import unsound

Say = Callable[[str], None]


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
            whole = digest.of_file(path) == remote.sha256 if remote.sha256 else digest.git_blob(path.read_bytes()) == remote.blob
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
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:
        for name in opened.keys():  # noqa: SIM118 - not a dict
            tensor = opened.get_tensor(name)
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
                yield Finding(id="not-finite", severity="error", where=where, what=f"{name} holds NaN or infinity")

"""Whether this environment is the release's: versions against its requirements.lock, and the class of the machine."""

import re
from importlib import metadata

from yulan.manifest import Determinism
from yulan.release.reproduce.report import CLASS, PACKAGE, Part, Verdict
from yulan.train.determinism import words

PIN = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")


def packages(lock: str) -> list[Part]:
    """One part a package of `lock`, the text of a requirements.lock. A local version (`+cpu`) is the machine's choice."""
    found = []
    for name, version in PIN.findall(lock):
        here = _installed(name)
        same = here is not None and here.partition("+")[0] == version
        reason = f"{version} in the lock, {here or 'nothing'} here"
        verdict: Verdict = "equal" if same else "different"
        found.append(Part(name=f"{PACKAGE}{name}", verdict=verdict, published=version, found=here, reason=reason))
    return found


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def machine(published: Determinism | None, here: Determinism) -> Part:
    """Instruction set, threads, ranks and what else decides bits in training."""
    if published is None:
        return Part(name=CLASS, verdict="not checked", published=None, found=words(here), reason="the release names no class")
    same = published == here
    reason = words(here) if same else f"{words(here)} here; {words(published)} there"
    return Part(
        name=CLASS, verdict="equal" if same else "different", published=words(published), found=words(here), reason=reason
    )

"""Names of a release: three repositories, revisions, addresses."""

import re
from dataclasses import dataclass
from typing import Literal

from yulan.errors import StateError

Part = Literal["model", "states", "data"]
PARTS: tuple[Part, ...] = ("data", "states", "model")
"""In the order of publication: whoever sees the model finds what it pins."""
MAIN = "main"
REVISION = re.compile(r"phase-\d{2}(-[a-z0-9]+)*-step-(?P<step>\d{6,})")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_REF = re.compile(r"[A-Za-z0-9][\w./-]{0,199}")


def revision(phase: str, step: int) -> str:
    """Branch of a checkpoint: `phase-03-short-step-000320`; the step counts from the start of its path."""
    return f"{phase}-step-{step:06d}"


def step_of(name: str) -> int | None:
    """The global step that a revision's name tells, or None where it is not a checkpoint's."""
    found = REVISION.fullmatch(name)
    return int(found["step"]) if found else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Repo:
    id: str
    """OWNER/NAME on the hub."""
    part: Part

    @property
    def kind(self) -> str:
        """What the hub calls it."""
        return "dataset" if self.part == "data" else "model"

    def __str__(self) -> str:
        return f"datasets/{self.id}" if self.kind == "dataset" else self.id


def repo(name: str, part: Part) -> Repo:
    """One of the three repositories of the release whose model is `name`."""
    return Repo(id=name if part == "model" else f"{name}-{part}", part=part)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """`hf://OWNER/NAME@REVISION`, where NAME is any of a release's three."""

    name: str
    """The model's OWNER/NAME."""
    part: Part
    revision: str

    @property
    def repo(self) -> Repo:
        return repo(self.name, self.part)

    def __str__(self) -> str:
        return f"hf://{self.repo.id}@{self.revision}"


def any_repo(text: str) -> tuple[Repo, str | None]:
    """A repository of anybody's: `hf://[datasets/]OWNER/NAME[@REVISION]`, and its revision if one is named.

    Raises: StateError: not an address, or a name that could reach elsewhere.
    """
    body, _, ref = text.removeprefix("hf://").partition("@")
    dataset = body.startswith("datasets/")
    body = body.removeprefix("datasets/")
    if not (text.startswith("hf://") and _REPO.fullmatch(body) and (not ref or _REF.fullmatch(ref)) and ".." not in body + ref):
        raise StateError(
            f"{text!r} is not an address of a repository", cure="Write it as hf://OWNER/NAME or hf://datasets/OWNER/NAME"
        )
    return Repo(id=body, part="data" if dataset else "model"), ref or None


def parse(text: str) -> Address:
    """Raises: StateError: not an address, or a name that could reach elsewhere."""
    body, _, ref = text.removeprefix("hf://").removeprefix("datasets/").partition("@")
    ref = ref or MAIN
    legal = (
        text.startswith("hf://") and _REPO.fullmatch(body) and _REF.fullmatch(ref) and ".." not in body + ref and "//" not in ref
    )
    if not legal:
        raise StateError(f"{text!r} is not an address of a release", cure="Write it as hf://OWNER/NAME@REVISION")
    for part in ("states", "data"):
        if body.endswith(f"-{part}"):
            return Address(name=body.removesuffix(f"-{part}"), part=part, revision=ref)
    return Address(name=body, part="model", revision=ref)

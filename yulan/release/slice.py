"""slice.json: which token files a fetch brought, from where, and which are not to be had; and the slice as a mix."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan import digest, files
from yulan.errors import DataError
from yulan.mix import PREFIX, FileList, Group, Intent, Mix, Part, Request, list_text, mix_text
from yulan.schema import check, plain

SLICE = "slice.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A token file that a data set has."""

    source: str
    path: str
    """As published: `input_ids/`, the source, the rest."""
    repo: str
    """OWNER/NAME of the data set."""
    commit: str
    name: str
    """Its path there."""
    size: int
    """Bytes."""
    sha256: str | None
    """Null: a small file, of which the hub tells only git's id."""
    blob: str
    """git's id; of a large file, that of its pointer."""
    rows: int
    """As the file's footer tells, like the next."""
    tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Absent:
    """A token file that is not to be had."""

    source: str
    path: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """slice.json."""

    format: int
    recipe: str
    phase: str
    fraction: str
    rule: str
    """Which files of the phase's list were taken."""
    wanted: int
    """Tokens: the fraction of what the phase was given."""
    quotas: Mapping[str, int]
    """Tokens wanted of each source, in the phase's proportions."""
    files: tuple[Found, ...]
    absent: tuple[Absent, ...]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def tokens(self) -> int:
        return sum(file.tokens for file in self.files)

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def name(self) -> str:
        """`phase-21-0.01`; a ratio is written with `-of-`."""
        return f"{self.phase}-{self.fraction.replace('/', '-of-')}"


def slice_folder(target: Path, made: Slice) -> Path:
    return target / "slices" / made.recipe / made.name


def write_slice(made: Slice, folder: Path) -> None:
    """The slice as a mix with its list, which a recipe can take over, and slice.json last."""
    if made.files:
        text = list_text(groups_of(made)).encode()
        path = f"files/{made.phase}.txt.gz"
        files.write_bytes(folder / path, gzip.compress(text, 9, mtime=0))
        mix = slice_mix(made, FileList(path=path, count=len(made.files), sha256=digest.of_bytes(text)))
        files.write_text(folder / "mixes" / f"{made.phase}.yaml", mix_text(mix))
    raw = plain(made)
    check(raw, "slice", folder / SLICE, DataError)
    files.write_json(folder / SLICE, raw)


def groups_of(made: Slice) -> list[Group]:
    """The files by source, in their order."""
    by_source: dict[str, list[Found]] = {}
    for file in made.files:
        by_source.setdefault(file.source, []).append(file)
    return [
        Group(
            source=source,
            tokens=sum(file.tokens for file in found),
            paths=tuple(file.path.removeprefix(PREFIX + source) for file in found),
        )
        for source, found in by_source.items()
    ]


def slice_mix(made: Slice, listed: FileList) -> Mix:
    """Each source gives what is wanted of it, or all that there is; so a lint of it tells what is not to be had."""
    weights = {group.source: min(made.quotas[group.source], group.tokens) for group in groups_of(made)}
    parts = {source: Part(weight=tokens, repeats=0) for source, tokens in weights.items() if tokens}
    asked = {source: Request(tokens=tokens, flag=None) for source, tokens in made.quotas.items()}
    total = sum(part.weight for part in parts.values())
    return Mix(total=total, sources=parts, intent=Intent(name=made.name, declared=total, sources=asked), files=listed)

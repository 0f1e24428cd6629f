"""A mix: how many whole tokens of a phase's budget each source gives, what was asked for, and which files were taken."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from yulan import digest
from yulan.errors import IntegrityError, RecipeError
from yulan.schema import read_yaml

LARGEST = 1 << 28
"""Bytes that a list of token files may unpack to."""
PREFIX = "input_ids/"
"""Before a source's name in the path of each of its token files; the lists leave both out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One source's share in a mix."""

    weight: int
    """Tokens of `total` that this source gives; in a published mix, the tokens that were delivered."""
    repeats: int
    """How many times its text may be used again along a path; 0: never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the authors asked of one source."""

    tokens: int
    flag: int | None
    """Second part of a request that is a pair; its authors do not say what it means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """What the authors of a published mix asked for and claim to have got."""

    name: str
    """As they call the mix."""
    declared: int
    """Tokens that they say were delivered in all."""
    sources: Mapping[str, Request]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileList:
    """The published token files of a mix, in order, in a compressed text beside the mixes."""

    path: str
    """Below the recipe's folder."""
    count: int
    sha256: str
    """Of the text once unpacked: another compressor may pack it otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Portions:
    """Sources and what each gives of a whole."""

    total: int
    """What the weights sum to; the phase's budget is divided in the same proportions."""
    sources: Mapping[str, Part]

    def quotas(self, budget: int) -> dict[str, int]:
        """Whole tokens for each source; they sum to `budget`."""
        return allocate({name: part.weight for name, part in self.sources.items()}, budget)

    def require_sum(self, where: str) -> None:
        """Raises: RecipeError: the weights do not sum to the total."""
        parts = sum(part.weight for part in self.sources.values())
        if parts != self.total:
            what = f"the weights sum to {parts}, not to {self.total}"
            raise RecipeError(what, where=where, cure="Correct a weight or the total")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix(Portions):
    """A file in a recipe's mixes/."""

    intent: Intent | None
    """Null: the weights are the intent."""
    files: FileList | None
    """Null: tokens are taken from the recipe's own shards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Token files that a source gives in one go."""

    source: str
    tokens: int
    paths: tuple[str, ...]
    """In the order they are read; each without the source's name that it begins with."""

    @property
    def published(self) -> tuple[str, ...]:
        """The paths as they were published."""
        return tuple(f"{PREFIX}{self.source}{path}" for path in self.paths)


def allocate(weights: Mapping[str, int], budget: int) -> dict[str, int]:
    """Divide `budget` tokens by largest remainder.

    Ties go to the name that sorts first, so equal mixes give equal shards on any machine.
    """
    total = sum(weights.values())
    shares = {name: divmod(weight * budget, total) for name, weight in weights.items()}
    missing = budget - sum(whole for whole, _ in shares.values())
    first = set(sorted(shares, key=lambda name: (-shares[name][1], name))[:missing])
    return {name: shares[name][0] + (name in first) for name in sorted(shares)}


def load_mix(path: Path) -> Mix:
    """Raises: RecipeError: the file breaks its schema, or its weights do not sum to its total."""
    mix = read_yaml(path, "mix", Mix)
    mix.require_sum(f"{path}: $.total")
    return mix


def list_text(groups: list[Group]) -> str:
    """Groups as docs/formats/mix.md lays them out: a line `source<TAB>tokens`, then `<TAB>path` for each file of it."""
    lines = []
    for group in groups:
        lines.append(f"{group.source}\t{group.tokens}\n")
        lines += [f"\t{path}\n" for path in group.paths]
    return "".join(lines)


def mix_text(mix: Mix) -> str:
    """A mix as YAML, one line a source, in the order given."""
    lines = [f"total: {mix.total}\n", "sources:\n"]
    lines += [f"  {name}: {{weight: {part.weight}, repeats: {part.repeats}}}\n" for name, part in mix.sources.items()]
    if mix.intent is None:
        lines.append("intent: null\n")
    else:
        # A name of digits and underscores is a number to YAML.
        lines += ["intent:\n", f'  name: "{mix.intent.name}"\n', f"  declared: {mix.intent.declared}\n", "  sources:\n"]
        for name, asked in mix.intent.sources.items():
            lines.append(f"    {name}: {{tokens: {asked.tokens}, flag: {json.dumps(asked.flag)}}}\n")
    if mix.files is None:
        lines.append("files: null\n")
    else:
        lines.append(f"files: {{path: {mix.files.path}, count: {mix.files.count}, sha256: {json.dumps(mix.files.sha256)}}}\n")
    return "".join(lines)


def read_list(folder: Path, listed: FileList) -> tuple[Group, ...]:
    """The token files of a mix; `folder` is the recipe's.

    Raises: RecipeError: no such file; IntegrityError: it is not what the mix says.
    """
    path = folder / listed.path
    try:
        with gzip.open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise RecipeError("no such list of token files", where=path, cure="Restore it with: git checkout") from None
    except (OSError, EOFError, zlib.error):
        data = b""
    if len(data) > LARGEST or digest.of_bytes(data) != listed.sha256:
        raise IntegrityError(
            "the list of token files is not the one of its mix", where=path, cure="Restore it with: git checkout"
        )
    groups = tuple(parse_list(data.decode("utf-8"), path))
    if sum(len(group.paths) for group in groups) != listed.count:
        raise IntegrityError(f"the list does not hold {listed.count} files", where=path, cure="Correct $.files.count in the mix")
    return groups


def parse_list(text: str, where: Path) -> Iterator[Group]:
    """What `list_text` laid out.

    Raises: RecipeError: a line is neither a source with its tokens nor a path of one.
    """
    source, tokens, paths = "", 0, list[str]()
    # Not splitlines: a name may hold what it takes for a line's end.
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        name, tab, rest = line.partition("\t")
        if not tab or not rest or (not name and not source) or (name and not rest.isdecimal()):
            raise RecipeError(
                f"line {number} names no source with its tokens, and no file of one", where=where, cure="Write the list again"
            )
        if not name:
            paths.append(rest)
            continue
        if source:
            yield Group(source=source, tokens=tokens, paths=tuple(paths))
        source, tokens, paths = name, int(rest), []
    if source:
        yield Group(source=source, tokens=tokens, paths=tuple(paths))

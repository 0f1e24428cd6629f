"""Published tables of a curriculum, made into a recipe's mixes, lists of token files and sources.

Made for the tables of YuLan-Mini's mixes (its public repository at commit 4719997, `pretrain/datasets`): they say what was
asked for, what was delivered, and which token files were read. docs/formats/mix.md says which columns they have.
"""

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yulan import digest, files
from yulan.errors import DataError
from yulan.mix import PREFIX, FileList, Group, Intent, Mix, Part, Request, list_text, mix_text
from yulan.recipe.sources import TOKENS
from yulan.schema import check, plain

UNKNOWN = "unknown"
HUB = re.compile(r"https://huggingface\.co/datasets/([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)(?:\?.*)?")
COLUMN = "input_ids"
"""Of each token file: a list of ids a row (`pretrain/preprocess/tokenize/split_data.py` of the same commit)."""
WRITTEN = "# Written by pipelines/import_mixes.py from the authors' tables; import again, do not edit.\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """The files that are read."""

    mixes: Path
    """mix, source, selected_tokens, requested_tokens, flag; an empty number: no such side."""
    totals: Path
    """mix, declared_total_tokens, …"""
    files: Path
    """mix, source, group, group_tokens, position, path; may be gzipped."""
    datasets: Path
    """name, address of each public dataset that the authors name."""
    origins: Path
    """prefix, family, language, dataset: our reading of the sources' names; the longest prefix of a name counts."""
    benchmarks: Path
    """benchmark, hub."""
    repo: str
    """OWNER/NAME of the data set that the authors say holds their token files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    family: str
    language: str
    hub: str
    attribution: str


def import_mixes(tables: Tables, names: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """Write `mixes/`, `files/` and `sources.yaml` below a recipe's folder.

    `names` gives mixes another name than `phase-NN`, NN being what theirs begins with. Returns: the phases written.
    Raises: DataError: a table lacks a column, contradicts another, or names a source that no prefix covers.
    """
    declared = {row["mix"]: _whole(row["declared_total_tokens"], tables.totals) for row in _rows(tables.totals)}
    groups = _groups(tables.files)
    rows: dict[str, list[dict[str, str]]] = {}
    for row in _rows(tables.mixes):
        rows.setdefault(row["mix"], []).append(row)
    phases: dict[str, str] = {}
    for name, of_mix in rows.items():
        phase = names.get(name, f"phase-{name[:2]}")
        if phase in phases:
            raise DataError(
                f"{phases[phase]} and {name} would both be {phase}", where=tables.mixes, cure="Give one a name of its own"
            )
        if name not in declared:
            raise DataError(f"no total of {name}", where=tables.totals, cure="Take both tables from one commit")
        phases[phase] = name
        _write_mix(folder, phase, _intent(name, declared[name], of_mix, tables.mixes), of_mix, groups.get(name, []), tables)
    sources = sorted({row["source"] for of_mix in rows.values() for row in of_mix})
    files.write_text(folder / "sources.yaml", _sources_text(sources, tables))
    return tuple(phases)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    yield from csv.DictReader(io.StringIO(data.decode("utf-8")))


def _whole(text: str, where: Path) -> int:
    if not re.fullmatch(r"[0-9]+", text):
        raise DataError(f"{text!r} is not a whole number", where=where, cure="Give tokens as digits")
    return int(text)


def _intent(name: str, declared: int, rows: Sequence[Mapping[str, str]], where: Path) -> Intent:
    asked = {
        row["source"]: Request(tokens=_whole(row["requested_tokens"], where), flag=int(row["flag"]) if row["flag"] else None)
        for row in rows
        if row["requested_tokens"]
    }
    return Intent(name=name, declared=declared, sources=asked)


def _groups(path: Path) -> dict[str, list[Group]]:
    """By mix, in the order of the table.

    Raises: DataError: a file out of order, or not below its source.
    """
    found: dict[tuple[str, str, str], tuple[int, list[str]]] = {}
    for row in _rows(path):
        tokens, paths = found.setdefault((row["mix"], row["source"], row["group"]), (_whole(row["group_tokens"], path), []))
        # A source that is read again has files of the same names below `<source>__round__2`.
        inside = row["path"].removeprefix(PREFIX + row["source"])
        if row["position"] != str(len(paths)) or inside == row["path"] or not inside.isprintable() or ".." in inside.split("/"):
            raise DataError(
                f"{row['path']} is out of order or not a file of {row['source']}", where=path, cure="Take the table as published"
            )
        paths.append(inside)
    grouped: dict[str, list[Group]] = {}
    for (mix, source, _), (tokens, paths) in found.items():
        grouped.setdefault(mix, []).append(Group(source=source, tokens=tokens, paths=tuple(paths)))
    return grouped


def _write_mix(
    folder: Path, phase: str, intent: Intent, rows: Sequence[Mapping[str, str]], groups: list[Group], tables: Tables
) -> None:
    parts = {
        row["source"]: Part(weight=_whole(row["selected_tokens"], tables.mixes), repeats=0)
        for row in rows
        if row["selected_tokens"]
    }
    listed = dict.fromkeys(parts, 0)
    for group in groups:
        listed[group.source] = listed.get(group.source, 0) + group.tokens
    if wrong := sorted(name for name, tokens in listed.items() if name not in parts or parts[name].weight != tokens):
        raise DataError(
            f"the files of {wrong[0]} do not sum to what {intent.name} was given",
            where=tables.files,
            cure="Take both tables from one commit",
        )
    text = list_text(groups).encode()
    path = f"files/{phase}.txt.gz"
    files.write_bytes(folder / path, gzip.compress(text, 9, mtime=0))
    made = Mix(
        total=sum(part.weight for part in parts.values()),
        sources=parts,
        intent=intent,
        files=FileList(path=path, count=sum(len(group.paths) for group in groups), sha256=digest.of_bytes(text)),
    )
    check(plain(made), "mix", phase)
    files.write_text(folder / "mixes" / f"{phase}.yaml", WRITTEN + mix_text(made))


def origins(sources: Sequence[str], tables: Tables) -> dict[str, Origin]:
    """Family, language and dataset of each source, by the longest prefix of its name.

    Raises: DataError: no prefix covers a source, or a prefix names a dataset that is not in the authors' table.
    """
    addresses = {row["name"]: row["address"] for row in _rows(tables.datasets)}
    prefixes = {row["prefix"]: row for row in _rows(tables.origins)}
    found = {}
    for source in sources:
        parts = source.split("/")
        prefix = next((p for n in range(len(parts), 0, -1) if (p := "/".join(parts[:n])) in prefixes), None)
        if prefix is None:
            raise DataError(f"no prefix covers {source}", where=tables.origins, cure="Add a line with its family and language")
        row = prefixes[prefix]
        name = row["dataset"]
        if name and name not in addresses:
            raise DataError(
                f"no dataset named {name!r}", where=tables.datasets, cure=f"Correct the line {prefix} of {tables.origins}"
            )
        address = addresses.get(name, UNKNOWN)
        known = f"{name}, {address}" if name else UNKNOWN
        found[source] = Origin(family=row["family"], language=row["language"], hub=hub_id(address), attribution=known)
    return found


def hub_id(address: str) -> str:
    """OWNER/NAME of a dataset on the Hub; any other address as it is."""
    matched = HUB.fullmatch(address)
    return matched[1] if matched else address


def _sources_text(sources: Sequence[str], tables: Tables) -> str:
    lines = [WRITTEN, "packages: {}\nfolders: {}\n\n", "sources:\n"]
    for source, origin in origins(sources, tables).items():
        about = {"family": origin.family, "language": origin.language, "licence": UNKNOWN, "attribution": origin.attribution}
        options = {"repo": tables.repo, "column": COLUMN}
        where: dict[str, Any] = {"hub": origin.hub, "package": None, "reader": TOKENS, "options": options}
        where |= {"paths": [], "exclude": []}
        lines.append(f"  {source}: {json.dumps(about | where, ensure_ascii=False)}\n")
    lines.append("\nbenchmarks:\n")
    for row in _rows(tables.benchmarks):
        item: dict[str, Any] = {"package": None, "hub": row["hub"], "reader": "questions", "paths": [], "licence": UNKNOWN}
        lines.append(f"  {row['benchmark']}: {json.dumps(item)}\n")
    return "".join([*lines, "\ngenerator: null\n"])

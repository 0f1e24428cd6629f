"""What a restored clone holds, what it does not, and under which licence that stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from yulan.manifest import File
from yulan.recipe.sources import Sources
from yulan.schema import check, plain


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """Files of one output that the release does not hold, of one source."""

    target: str
    """Stage that makes them again."""
    source: str | None
    """Null: of no single source; the stage made them from several, or from none."""
    licence: str | None
    """SPDX id or `unknown`; null where there is no source."""
    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """The JSON that `yulan restore --json` prints."""

    format: int
    release: str
    commit: str
    """Of git, checked out now."""
    was: str | None
    """Branch or commit that was checked out before; null: nothing was changed."""
    recipe: str
    signed: str | None
    """Fingerprint of the key that signed every revision; null: nobody asked."""
    outputs: tuple[str, ...]
    """Stages whose output the release holds whole."""
    bytes: int
    """Of them, equal files counted once."""
    fetched: int
    """Bytes that came over the wire."""
    left_out: tuple[LeftOut, ...]
    runs: bool
    """Whether the MLflow store was made from the logs."""
    to_do: tuple[str, ...] | None
    """Stages that `dvc repro --allow-missing` would run; null: nothing was changed, nobody asked."""


def left_out(target: str, missing: Iterable[File], sources: Sources) -> list[LeftOut]:
    """Group files by the source that they are of, as their paths tell."""
    groups: dict[tuple[str | None, str | None], list[File]] = {}
    for file in missing:
        groups.setdefault(_of(target, file.path, sources), []).append(file)
    return [
        LeftOut(target=target, source=name, licence=licence, files=len(group), bytes=sum(file.size for file in group))
        for (name, licence), group in sorted(groups.items(), key=lambda row: (row[0][0] or "", row[0][1] or ""))
    ]


def _of(target: str, path: str, sources: Sources) -> tuple[str | None, str | None]:
    """(source or package, its licence). Files lie in a folder of their source; those of `sources` in one of their package."""
    if target == "sources":
        package = sources.packages.get(path.partition("/")[0]) or sources.folders.get(path.partition("/")[0])
        return (path.partition("/")[0], package.licence) if package else (None, None)
    named = [name for name in sources.sources if path.startswith(f"{name}/")]
    name = max(named, key=len, default=None)
    return (name, sources.sources[name].licence) if name else (None, None)


def told_json(done: Restored) -> Any:
    """Raises: RecipeError: a value breaks the schema."""
    check(plain(done), "restored", "restore")
    return plain(done)


def lines(done: Restored) -> list[str]:
    """For people: a line what is there, one or more what is not."""
    if done.was is None:
        rows = [f"commit     {done.commit}: nothing was changed"]
    elif done.was == done.commit:
        rows = [f"commit     {done.commit}"]
    else:
        back = f"git switch {done.was}" if len(done.was) != len(done.commit) else f"git checkout {done.was}"
        rows = [f"commit     {done.commit}, on no branch; back to where you were: {back}"]
    rows.append(f"whole      {len(done.outputs)} outputs, {done.bytes:,} bytes: {', '.join(done.outputs) or 'none'}")
    for target, group in _by_target(done.left_out).items():
        count, size = sum(row.files for row in group), sum(row.bytes for row in group)
        rows.append(f"left out   {target}: {count:,} {'file' if count == 1 else 'files'}, {size:,} bytes")
        rows += [f"             {licence}: {', '.join(names)}" for licence, names in _by_licence(group).items()]
    if done.left_out:
        rows.append("           Build one of them from what it is made of: dvc repro STAGE")
    if done.runs:
        rows.append("runs       MLflow's store was made from the logs")
    if done.to_do is not None:
        rows.append("to do      " + (", ".join(done.to_do) or "nothing: dvc repro --allow-missing --dry runs no stage"))
    return rows


def _by_target(rows: Iterable[LeftOut]) -> Mapping[str, list[LeftOut]]:
    found: dict[str, list[LeftOut]] = {}
    for row in rows:
        found.setdefault(row.target, []).append(row)
    return found


def _by_licence(rows: Iterable[LeftOut]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.source is not None:
            found.setdefault(row.licence or "", []).append(row.source)
    return found

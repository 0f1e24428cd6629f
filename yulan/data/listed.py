"""Token files that a recipe's mixes list, between the folder they were fetched to and the shards."""

from collections.abc import Sequence
from pathlib import Path

from yulan import files
from yulan.errors import DataError
from yulan.manifest import require_safe
from yulan.mix import PREFIX, Group, list_text, parse_list

LIST = f"{PREFIX}files.txt"
"""The files in the order they are read, laid out as a mix's list."""


def take_listed(groups: Sequence[Group], fetched: Path, into: Path) -> dict[str, int]:
    """Give each listed file below `fetched` its published path below `into`, a second name of the same bytes, and write LIST.

    Returns: files of each source.
    Raises: DataError: files that were not fetched.
    """
    names = [name for group in groups for name in group.published]
    require_safe(names, into)
    absent = [name for name in names if not (fetched / name).is_file()]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(names)} listed token files were not fetched",
            where=fetched,
            cure="Fetch them with: yulan data fetch --phase PHASE --fraction 1",
            evidence=[f"missing  {name}" for name in absent],
        )
    for name in names:
        files.link(fetched / name, into / name)
    files.write_text(into / LIST, list_text(list(groups)))
    counts: dict[str, int] = {}
    for group in groups:
        counts[group.source] = counts.get(group.source, 0) + len(group.paths)
    return dict(sorted(counts.items()))


def read_listed(folder: Path) -> dict[str, list[Path]]:
    """By source, what `take_listed` put below `folder`, in order."""
    found: dict[str, list[Path]] = {}
    for group in parse_list((folder / LIST).read_text(encoding="utf-8"), folder / LIST):
        found.setdefault(group.source, []).extend(folder / name for name in group.published)
    return found

"""What a model has to reach, written down before it is asked, and whether it did: judged.json quotes both by digest."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yulan import digest, files
from yulan.errors import DataError, RecipeError
from yulan.evaluate.evaluated import NAME, Evaluated
from yulan.schema import check, plain, read_json, read_yaml, suggest

JUDGED = "judged.json"
Direction = Literal["at least", "at most"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Criterion:
    task: str
    metric: str
    direction: Direction
    threshold: float
    """In the metric's own unit: 0 to 1 for shares."""

    def met(self, value: float) -> bool:
        return value >= self.threshold if self.direction == "at least" else value <= self.threshold


@dataclass(frozen=True, kw_only=True, slots=True)
class Criteria:
    format: int
    suite: str
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    task: str
    metric: str
    direction: Direction
    threshold: float
    value: float | None
    stderr: float | None
    verdict: Literal["pass", "fail", "not run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    id: str
    time: str
    """The committer's date, UTC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """judged.json."""

    format: int
    criteria: str
    """sha256 of the file."""
    evaluated: str
    """sha256 of evaluated.json."""
    suite: str
    subject: str
    started: str
    """When asking began, UTC."""
    commit: str | None
    """The one that brought the criteria file as it is; null where none did."""
    committed: str | None
    before: bool
    """Whether the commit is dated before asking began."""
    passed: bool
    rows: tuple[Row, ...]


def read_criteria(path: Path, suite: str, metrics: dict[str, str]) -> Criteria:
    """Criteria for a suite, whose tasks have those metrics.

    Raises: RecipeError: it breaks its schema, is for another suite, or names no task or metric of this one.
    """
    made = read_yaml(path, "criteria", Criteria)
    if made.suite != suite:
        raise RecipeError(f"these criteria are for suite {made.suite!r}", where=path, cure=f"Ask that one: --suite {made.suite}")
    for number, each in enumerate(made.criteria):
        where = f"{path}: $.criteria[{number}]"
        if each.task not in metrics:
            raise RecipeError(f"suite {suite} has no task {each.task!r}", where=where, cure=suggest(each.task, sorted(metrics)))
        if each.metric != metrics[each.task]:
            cure = f"Write {metrics[each.task]!r}"
            raise RecipeError(f"task {each.task} is not judged by {each.metric!r}", where=where, cure=cure)
    return made


def judge(criteria: Criteria, path: Path, made: Evaluated, folder: Path, started: str) -> Judged:
    """Write judged.json beside evaluated.json. `started` is when asking began, `path` the criteria's file.

    Raises: DataError: a value breaks the schema.
    """
    rows = tuple(_row(each, made) for each in criteria.criteria)
    commit = commit_of(path)
    judged = Judged(
        format=1,
        criteria=digest.of_file(path),
        evaluated=digest.of_file(folder / NAME),
        suite=made.suite.sha256,
        subject=made.subject.digest,
        started=started,
        commit=commit.id if commit else None,
        committed=commit.time if commit else None,
        before=commit is not None and commit.time < started,
        passed=all(row.verdict == "pass" for row in rows),
        rows=rows,
    )
    raw = plain(judged)
    check(raw, "judged", folder / JUDGED, DataError)
    files.write_json(folder / JUDGED, raw)
    return judged


def read_judged(folder: Path) -> Judged:
    """Raises: DataError: no judged.json, or it breaks its schema."""
    return read_json(folder / JUDGED, "judged", Judged)


def _row(wanted: Criterion, made: Evaluated) -> Row:
    found = made.tasks[wanted.task]
    verdict: Literal["pass", "fail", "not run"] = (
        "not run" if found.value is None else "pass" if wanted.met(found.value) else "fail"
    )
    return Row(
        task=wanted.task,
        metric=wanted.metric,
        direction=wanted.direction,
        threshold=wanted.threshold,
        value=found.value,
        stderr=found.stderr,
        verdict=verdict,
    )


def commit_of(path: Path) -> Commit | None:
    """The commit that brought a file as it now is; None outside of git, or where the file differs from HEAD's."""
    if _git(path, "status", "--porcelain", "--ignored", "--", path.name) != "":
        return None
    told = _git(path, "log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%H %cd", "--", path.name)
    if not told:
        return None
    name, _, time = told.partition(" ")
    return Commit(id=name, time=time)


def _git(path: Path, *words: str) -> str | None:
    """What git says in the file's folder, dates in UTC; None where it fails."""
    own = {**os.environ, "TZ": "UTC"}
    try:
        done = subprocess.run(["git", *words], cwd=path.resolve().parent, env=own, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None

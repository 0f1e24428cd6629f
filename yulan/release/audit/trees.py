"""Rules that need the listing alone: not one file is read."""

import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from yulan.release.audit.finding import Finding, among
from yulan.release.audit.layouts import is_pickle_name, optimizer, step_of, weights
from yulan.release.audit.survey import Seen, Survey, is_safe
from yulan.release.names import MAIN

PROGRAMS = {".py", ".so", ".sh", ".dll", ".exe", ".js", ".pyc", ".ipynb"}
_EMPTY_IS_FINE = {"__init__.py", ".gitkeep", "py.typed"}


def aliases(survey: Survey) -> dict[str, str]:
    """Revision or tag -> the one that checkpoints.csv of `main` declares it to share weights with.

    A tag stays where its branch was before a card was edited, and is another commit since.
    """
    declared: dict[str, str] = {}
    for row in _table(survey):
        revision, of = row.get("revision"), row.get("alias_of")
        if revision and of:
            declared[revision] = of
        if revision:
            declared |= dict.fromkeys((row.get("tags") or "").split(), of or revision)
    return declared


def _table(survey: Survey) -> list[dict[str, str]]:
    """Rows of checkpoints.csv of `main`; none where it cannot be read."""
    text = survey.text(survey.main, "checkpoints.csv") if survey.main else None
    try:
        return list(csv.DictReader(io.StringIO(text or "")))
    except csv.Error:
        return []


def vanished(survey: Survey) -> Iterator[Finding]:
    """Every checkpoint that the repository lists is there."""
    there = {seen.name for seen in survey.revisions} | survey.tags.keys()
    lost = [row["revision"] for row in _table(survey) if row.get("revision") and row["revision"] not in there]
    if lost and survey.whole:
        what = f"checkpoints.csv lists what is not there: {among(lost)}"
        yield Finding(id="vanished", severity="error", where=MAIN, what=what)


def fingerprint(seen: Seen) -> tuple[str, ...]:
    """Of a revision's weights: equal where every weights file is."""
    return tuple(remote.sha256 or remote.blob for _, remote in sorted(weights(seen.files).items()))


def identical(survey: Survey) -> Iterator[Finding]:
    """Different revisions serve different weights, unless checkpoints.csv declares an alias."""
    declared, groups = aliases(survey), defaultdict(list)
    for seen in survey.revisions:
        if marks := fingerprint(seen):
            groups[marks].append(seen.name)
    last = max((step for seen in survey.revisions if (step := step_of(seen.name)) is not None), default=None)
    for names in groups.values():
        if len({declared.get(name, name) for name in names}) < 2:
            continue
        labelled = [name for name in names if name != MAIN]
        if MAIN not in names:
            yield Finding(
                id="identical-weights", severity="error", where=labelled[0], what=f"one set of weights: {among(labelled)}"
            )
        # Undeclared, `main` may still be the end of the run, which the label with the highest step names.
        elif wrong := [name for name in labelled if step_of(name) != last and declared.get(name, name) != declared.get(MAIN)]:
            yield Finding(
                id="equals-main", severity="error", where=wrong[0], what=f"their weights are those of main: {among(wrong)}"
            )


def shared_shards(survey: Survey) -> Iterator[Finding]:
    """A weights file that several labelled revisions share while their others differ."""
    owners: dict[str, list[str]] = defaultdict(list)
    names: dict[str, str] = {}
    for seen in survey.revisions:
        for name, remote in weights(seen.files).items():
            mark = remote.sha256 or remote.blob
            owners[mark].append(seen.name)
            names[mark] = name
    whole = {seen.name: fingerprint(seen) for seen in survey.revisions}
    for mark, revisions in owners.items():
        steps = {step_of(name) for name in revisions} - {None}
        if len(steps) > 1 and len({whole[name] for name in revisions}) > 1:
            what = f"{names[mark]} is the same file in {among([name for name in revisions if name != MAIN])}"
            yield Finding(id="shared-shard", severity="error", where=revisions[0], what=what)


def names(survey: Survey) -> Iterator[Finding]:
    """No file's name leads out of a folder, drives a terminal, or is another's twin where case does not count."""
    told: set[str] = set()
    for seen in survey.revisions:
        twins: dict[str, str] = {}
        for name in sorted(seen.files):
            wrong = None
            if not is_safe(name):
                wrong = "leads out of its folder" if name.isprintable() else "holds characters that do not show"
            elif (twin := twins.setdefault(unicodedata.normalize("NFC", name).casefold(), name)) != name:
                wrong = f"is the twin of {twin!r}"
            if wrong and name not in told:
                told.add(name)
                yield Finding(id="unsafe-name", severity="error", where=seen.name, what=f"{name!r} {wrong}")


def missing(survey: Survey) -> Iterator[Finding]:
    """Every revision has weights or states, and no file of it is empty."""
    for seen in survey.revisions:
        if survey.repo.kind == "model" and not weights(seen.files) and not optimizer(seen.files) and seen.name != MAIN:
            yield Finding(
                id="no-weights", severity="error", where=seen.name, what="it holds neither weights nor optimizer states"
            )
        for name, remote in sorted(seen.files.items()):
            if remote.size == 0 and PurePosixPath(name).name not in _EMPTY_IS_FINE:
                yield Finding(id="empty-file", severity="error", where=f"{seen.name}:{name}", what="0 bytes")
    for seen in survey.looked:
        yield from _shards(survey, seen)


def _shards(survey: Survey, seen: Seen) -> Iterator[Finding]:
    for name in sorted(seen.files):
        if not name.endswith(".index.json"):
            continue
        try:
            wanted = set((survey.json(seen, name) or {}).get("weight_map", {}).values())
        except (ValueError, AttributeError):
            yield Finding(id="broken-index", severity="error", where=f"{seen.name}:{name}", what="not an index of shards")
            continue
        folder = PurePosixPath(name).parent
        absent = sorted(shard for shard in wanted if str(folder / str(shard)) not in seen.files)
        if absent:
            what = f"{name} names files that are not there: {among(absent)}"
            yield Finding(id="missing-shard", severity="error", where=seen.name, what=what)


def vanished_states(survey: Survey) -> Iterator[Finding]:
    """Where some labelled revisions carry optimizer states, all do."""
    with_states = [seen.name for seen in survey.revisions if optimizer(seen.files)]
    without = [s.name for s in survey.revisions if not optimizer(s.files) and weights(s.files) and step_of(s.name) is not None]
    if with_states and without:
        what = f"without optimizer states: {among(without)}"
        yield Finding(id="no-states", severity="warning", where=without[0], what=what)


def pickles(survey: Survey) -> Iterator[Finding]:
    """No file whose loader unpickles, by its name."""
    for suffix, found in _by_suffix(survey, is_pickle_name).items():
        what = f"loading it may run code ({suffix}): {among(found)}"
        yield Finding(id="pickle", severity="error", where=found[0].partition(":")[0], what=what)


def remote_code(survey: Survey) -> Iterator[Finding]:
    """No program, and no `auto_map` that makes a client run one."""
    for suffix, found in _by_suffix(survey, lambda name: PurePosixPath(name).suffix in PROGRAMS).items():
        yield Finding(
            id="remote-code", severity="error", where=found[0].partition(":")[0], what=f"programs ({suffix}): {among(found)}"
        )
    for seen, name, _ in survey.distinct(survey.looked):
        if PurePosixPath(name).name in {"config.json", "tokenizer_config.json", "generation_config.json"}:
            try:
                told = survey.json(seen, name)
            except ValueError:
                yield Finding(id="broken-json", severity="error", where=f"{seen.name}:{name}", what="not JSON")
                continue
            if isinstance(told, dict) and "auto_map" in told:
                what = "auto_map makes a client run code from this repository"
                yield Finding(id="remote-code", severity="error", where=f"{seen.name}:{name}", what=what)


def _by_suffix(survey: Survey, wanted: Callable[[str], bool]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for seen, name, _ in survey.distinct():
        if wanted(name):
            found[PurePosixPath(name).suffix or PurePosixPath(name).name].append(f"{seen.name}:{name}")
    return found

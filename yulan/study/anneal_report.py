"""From the rows of the anneal study to its figures, verdict and page."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from yulan.evaluate.intervals import Interval, ratio
from yulan.report.ink import colours
from yulan.study.anneal import EFFECT, LONG, RUNS, STABLE, TARGETED
from yulan.study.plot import Axis, Plot
from yulan.study.pool import rows_of
from yulan.study.protocol import Protocol, read_protocol
from yulan.study.result import Finding, Results, finding, write_results

Row = dict[str, Any]
MIX, CONTEXT = "targeted less stable mix", "long context less none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One held-out document under all arms, by stretch of positions."""

    source: str
    bytes: Sequence[int]
    bits: Mapping[str, Sequence[float]]
    """By arm, mean of the seeds."""


class Ends:
    """The seeds that have all arms, and what they say of each document."""

    def __init__(self, protocol: Protocol, rows: Sequence[Row]) -> None:
        settings = protocol.settings
        self.asked, self.edges, self.arms = tuple(settings["seeds"]), tuple(settings["edges"]), tuple(settings["arms"])
        found = {(row["arm"], row["seed"]): row for row in rows}
        self.seeds = tuple(s for s in self.asked if all((arm, s) in found for arm in (STABLE, TARGETED, LONG)))
        self.rows = {key: row for key, row in found.items() if key[1] in self.seeds}
        self.short = self.edges.index(_shortest(protocol))

    def documents(self, seeds: Sequence[int]) -> list[Document]:
        rows = {arm: [self.rows[arm, seed]["documents"] for seed in seeds] for arm in (STABLE, TARGETED, LONG)}
        return [
            Document(
                source=told["source"],
                bytes=told["bytes"],
                bits={
                    arm: [fmean(each) / math.log(2) for each in zip(*(of[at]["nats"] for of in rows[arm]), strict=True)]
                    for arm in rows
                },
            )
            for at, told in enumerate(rows[STABLE][0])
        ]


def _shortest(protocol: Protocol) -> int:
    """Context of the parent: the second arm is trained at it, and position buckets meet there."""
    return int(protocol.settings["short"])


def difference(documents: Sequence[Document], one: str, other: str, stretch: slice) -> tuple[Interval, int] | None:
    """Bits per byte of `one` less `other`, and how many documents reach the stretch; None where fewer than two do."""
    there = [document for document in documents if sum(document.bytes[stretch])]
    if len(there) < 2:
        return None
    amounts = [sum(document.bits[one][stretch]) - sum(document.bits[other][stretch]) for document in there]
    return ratio(amounts, [sum(document.bytes[stretch]) for document in there]), len(there)


def anneal_report(folder: Path, families: Mapping[str, str], commit: str | None, torch: str, isa: str) -> Results:
    """Write the study's page, tables, pictures and results from what is there; `families`: category of each source.

    Raises: DataError: no protocol, or a row breaks its schema.
    """
    protocol = read_protocol(folder)
    ends = Ends(protocol, list(rows_of(folder / RUNS, "annealed").values()))
    documents = ends.documents(ends.seeds) if ends.seeds else []
    results = Results(
        format=1,
        study=protocol.study,
        protocol=protocol.digest,
        commit=commit,
        torch=torch,
        isa=isa,
        complete=len(ends.seeds) == len(ends.asked),
        runs=len(ends.rows),
        verdict=verdict(ends, documents),
        findings=tuple(findings(ends, documents, families)) if documents else (),
        notes=tuple(notes(ends)) if documents else (),
    )
    write_results(folder, protocol, results, pictures(ends, documents, families) if documents else {})
    return results


def _contrasts(ends: Ends) -> dict[str, tuple[str, str, slice]]:
    return {MIX: (TARGETED, STABLE, slice(0, ends.short)), CONTEXT: (LONG, TARGETED, slice(ends.short, None))}


def verdict(ends: Ends, documents: Sequence[Document]) -> str:
    told = []
    for name, contrast in _contrasts(ends).items():
        found = difference(documents, *contrast)
        if found is None:
            told.append(f"{name}: no answer yet")
            continue
        value = found[0]
        counts = abs(value.value) >= EFFECT and value.beyond_zero
        said = ("better" if value.value < 0 else "worse") if counts else "no effect shown"
        told.append(f"{name}: {value.value:+.4f} bits per byte ({value.low:+.4f} to {value.high:+.4f}), {said}")
    state = "" if len(ends.seeds) == len(ends.asked) else "No verdict yet. So far "
    return f"{state}{'; '.join(told)}. {len(ends.seeds)} of {len(ends.asked)} data orders."


def findings(ends: Ends, documents: Sequence[Document], families: Mapping[str, str]) -> list[Finding]:
    found = []
    for arm in (STABLE, TARGETED, LONG):
        for name, stretch in (
            ("all positions", slice(None)),
            (f"positions under {ends.edges[ends.short]}", slice(0, ends.short)),
        ):
            there = [d for d in documents if sum(d.bytes[stretch])]
            level = ratio([sum(d.bits[arm][stretch]) for d in there], [sum(d.bytes[stretch]) for d in there])
            found.append(finding(f"bits per byte, {name}", arm, level, len(there), "bits per byte"))
    for name, (one, other, stretch) in _contrasts(ends).items():
        parts: dict[str, Callable[[Document], bool]] = {"all (the outcome)": lambda _: True}
        for family in sorted(set(families.values())):
            parts[family] = lambda d, family=family: families[d.source] == family  # type: ignore[misc]
        for part, belongs in parts.items():
            if made := difference([d for d in documents if belongs(d)], one, other, stretch):
                found.append(finding(name, part, made[0], made[1], "bits per byte"))
        for at, (low, high) in enumerate(zip(ends.edges, ends.edges[1:], strict=False)):
            if made := difference(documents, one, other, slice(at, at + 1)):
                found.append(finding(f"{name}, by position", f"{low}-{high - 1}", made[0], made[1], "bits per byte"))
    return found


def notes(ends: Ends) -> list[str]:
    told = []
    for name, contrast in _contrasts(ends).items():
        each = [difference(ends.documents([seed]), *contrast) for seed in ends.seeds]
        values = [f"{found[0].value:+.4f}" for found in each if found]
        told.append(f"{name}, each data order alone: {', '.join(values)} bits per byte.")
    seconds = [row["seconds"] for row in ends.rows.values()]
    told.append(f"A run took {median(seconds):.0f} s in the middle and {max(seconds):.0f} s at most.")
    return told


def pictures(ends: Ends, documents: Sequence[Document], families: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    made = findings(ends, documents, families)
    category = {name: [f for f in made if f.what == name and not f.of.startswith("all")] for name in (MIX, CONTEXT)}
    position = {name: [f for f in made if f.what == f"{name}, by position"] for name in (MIX, CONTEXT)}
    low, high = ends.edges[ends.short], ends.edges[-1]
    return {
        "by-category": (
            f"Difference in bits per byte by category, below 0 is better: the mix at positions under {low}, the context at"
            f" {low}-{high - 1}. 95 % intervals over documents; a category with fewer than two that reach so far is left out.",
            _dots("Difference by category", category),
        ),
        "by-position": (
            "Difference in bits per byte by position in the document, all documents that reach it.",
            _dots("Difference by position", position),
        ),
    }


def _dots(title: str, groups: Mapping[str, Sequence[Finding]]) -> str:
    names = list(dict.fromkeys(f.of for of in groups.values() for f in of))
    most = max((max(abs(f.low), abs(f.high)) for of in groups.values() for f in of), default=EFFECT) * 1.1
    step = 10 ** math.floor(math.log10(most))
    ticks = tuple(number * step for number in range(-int(most / step), int(most / step) + 1))
    x = Axis(title="", low=-0.5, high=len(names) - 0.5, ticks=tuple(range(len(names))), labels=tuple(names))
    plot = Plot(title, x, Axis(title="bits per byte", low=-most, high=most, ticks=ticks[:: max(1, len(ticks) // 8)]))
    for number, (name, colour) in enumerate(colours(list(groups)).items()):
        plot.name(name, colour)
        for f in groups[name]:
            words = f"{f.of}: {f.value:+.4f} ({f.low:+.4f} to {f.high:+.4f}), {f.count} documents"
            plot.point(names.index(f.of), f.value, f.low, f.high, colour, shift=14.0 * number - 7, words=words)
    return plot.svg()

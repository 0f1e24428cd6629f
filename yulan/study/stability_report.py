"""From the rows of the stability study to its figures, verdict and page."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from yulan.evaluate.intervals import Interval, mean, wilson
from yulan.report.ink import colours
from yulan.study.plot import Axis, Plot
from yulan.study.pool import rows_of
from yulan.study.protocol import Protocol, read_protocol
from yulan.study.result import Finding, Results, finding, write_results
from yulan.study.stability import BASE, EFFECT, RUNS, TREATED

Row = dict[str, Any]


class Climbs:
    """Rows by variant and seed, rates rising; seeds whose every variant has come to its end."""

    def __init__(self, protocol: Protocol, rows: Sequence[Row]) -> None:
        settings = protocol.settings
        self.variants, self.rates = tuple(settings["variants"]), tuple(settings["rates"])
        self.asked, self.rows = tuple(settings["seeds"]), rows
        self.seeds = tuple(seed for seed in self.asked if all(self.top(v, seed) is not None for v in self.variants))

    def of(self, variant: str, seed: int) -> list[Row]:
        return sorted((r for r in self.rows if (r["variant"], r["seed"]) == (variant, seed)), key=lambda row: row["rate"])

    def top(self, variant: str, seed: int) -> int | None:
        """Grid steps climbed: 0 where the lowest rate diverged, as many as there are rates where none did. None: not ended."""
        rows = self.of(variant, seed)
        lost = [index for index, row in enumerate(rows) if row["diverged"]]
        return lost[0] if lost else len(rows) if len(rows) == len(self.rates) else None

    def tops(self, variant: str) -> list[int]:
        return [top for seed in self.seeds if (top := self.top(variant, seed)) is not None]

    def at(self, variant: str, rate: float) -> list[Row]:
        return [r for r in self.rows if r["variant"] == variant and r["rate"] == rate and r["seed"] in self.seeds]


def stability_report(folder: Path, commit: str | None, torch: str, isa: str) -> Results:
    """Write the study's page, tables, pictures and results from what is there.

    Raises: DataError: no protocol, or a row breaks its schema.
    """
    protocol = read_protocol(folder)
    climbs = Climbs(protocol, list(rows_of(folder / RUNS, "trial").values()))
    complete = len(climbs.seeds) == len(climbs.asked)
    results = Results(
        format=1,
        study=protocol.study,
        protocol=protocol.digest,
        commit=commit,
        torch=torch,
        isa=isa,
        complete=complete,
        runs=sum(row["seed"] in climbs.seeds for row in climbs.rows),
        verdict=verdict(climbs),
        findings=tuple(findings(climbs)) if climbs.seeds else (),
        notes=tuple(notes(climbs)) if climbs.seeds else (),
    )
    write_results(folder, protocol, results, pictures(climbs) if climbs.seeds else {})
    return results


def advantage(climbs: Climbs, variant: str) -> Interval:
    """Grid steps over plain, paired by seed."""
    return mean([one - base for one, base in zip(climbs.tops(variant), climbs.tops(BASE), strict=True)])


def verdict(climbs: Climbs) -> str:
    if not climbs.seeds:
        return "No seed has all its variants yet: no answer."
    found, seeds = advantage(climbs, TREATED), f"{len(climbs.seeds)} of {len(climbs.asked)} seeds"
    steps = f"all three parts together climb {found.value:.2f} grid steps ({found.low:.2f} to {found.high:.2f}) over plain"
    if len(climbs.seeds) < len(climbs.asked):
        # An answer that is read before the protocol's last run is an answer that could be stopped at.
        return f"No verdict yet, {seeds}. So far {steps}."
    holds = found.value >= EFFECT and found.low > 0
    return f"{'The effect holds' if holds else 'The effect was not shown'}: {steps}, {seeds}."


def findings(climbs: Climbs) -> list[Finding]:
    found, seeds = [], len(climbs.seeds)
    for variant in climbs.variants:
        found.append(finding("highest peak rate", variant, mean(climbs.tops(variant)), seeds, "grid steps climbed"))
    for variant in climbs.variants:
        if variant != BASE:
            found.append(finding("over plain, by seed", variant, advantage(climbs, variant), seeds, "grid steps"))
    for variant in climbs.variants:
        for step, rate in enumerate(climbs.rates):
            lost = sum(top <= step for top in climbs.tops(variant))
            found.append(finding("rate of divergence", f"{variant} at {rate:g}", wilson(lost, seeds), seeds, "of seeds"))
    for variant in climbs.variants:
        for rate in climbs.rates:
            rows = climbs.at(variant, rate)
            losses = [row["checked"] for row in rows if row["checked"] is not None]
            if losses:
                found.append(finding("loss on other text", f"{variant} at {rate:g}", mean(losses), len(losses), "nats a token"))
            if rows:
                counts = [len(row["spikes"]) for row in rows]
                found.append(finding("spikes a run", f"{variant} at {rate:g}", mean(counts), len(rows), "spikes"))
                growth = [math.log10(row["stream"][-1]) for row in rows if row["stream"][-1]]
                if growth:
                    told = finding("stream at the end", f"{variant} at {rate:g}", mean(growth), len(growth), "log10 of its RMS")
                    found.append(told)
    return found


def notes(climbs: Climbs) -> list[str]:
    rows = [row for row in climbs.rows if row["seed"] in climbs.seeds]
    reasons = {reason: sum(row["diverged"] == reason for row in rows) for reason in {row["diverged"] for row in rows} - {None}}
    told = [f"Reasons of divergence: {', '.join(f'{words} {n}' for words, n in sorted(reasons.items())) or 'none'}."]
    seconds = [row["seconds"] for row in rows]
    told.append(f"A run took {median(seconds):.0f} s in the middle and {max(seconds):.0f} s at most.")
    ends = [v for v in climbs.variants if any(top == len(climbs.rates) for top in climbs.tops(v))]
    if ends:
        told.append(f"Censored at the grid's end: {', '.join(ends)}.")
    told.append("Rates of divergence count the rates above a variant's first diverged run, which were not run.")
    return told


def pictures(climbs: Climbs) -> dict[str, tuple[str, str]]:
    last = climbs.rates[-1]
    return {
        "climbed": ("Rates of divergence with Wilson's 95 % intervals, at each peak learning rate.", _rates(climbs)),
        "losses": (
            "Loss of each step, mean of the seeds that reached it: each variant at the highest rate that most of its seeds"
            " learned at (full), and at the first that most diverged at (thin).",
            _curves(climbs, "losses", Axis(title="loss, nats a token", low=4, high=9, ticks=(4, 5, 6, 7, 8, 9))),
        ),
        "stream": (
            f"Root mean square of the residual stream after the last layer, the same runs. The grid ends at {last:g}.",
            _curves(
                climbs,
                "stream",
                Axis(title="RMS of the stream", low=1e-3, high=1e6, ticks=(1e-2, 1, 1e2, 1e4, 1e6), log=True),
            ),
        ),
    }


def _rates(climbs: Climbs) -> str:
    x = Axis(title="peak learning rate", low=climbs.rates[0] / 1.7, high=climbs.rates[-1] * 1.7, ticks=climbs.rates, log=True)
    y = Axis(title="seeds that diverged", low=-0.03, high=1.03, ticks=(0, 0.25, 0.5, 0.75, 1))
    plot, seeds = Plot("Rate of divergence by peak learning rate", x, y), len(climbs.seeds)
    for number, (variant, colour) in enumerate(colours(climbs.variants).items()):
        plot.name(variant, colour)
        for step, rate in enumerate(climbs.rates):
            told = wilson(sum(top <= step for top in climbs.tops(variant)), seeds)
            shift = 11.0 * (number - (len(climbs.variants) - 1) / 2)
            words = f"{variant} at {rate:g}: {told.value:.0%}"
            plot.point(rate, told.value, told.low, told.high, colour, shift=shift, words=words)
    return plot.svg()


def _curves(climbs: Climbs, field: str, y: Axis) -> str:
    longest = max(len(row["losses"]) for row in climbs.rows)
    x = Axis(title="step", low=1, high=longest, ticks=tuple(range(longest // 8, longest + 1, max(1, longest // 8))))
    plot = Plot(y.title, x, y)
    for variant, colour in colours(climbs.variants).items():
        plot.name(variant, colour)
        kept = int(median(climbs.tops(variant)))
        for step, width in ((kept - 1, 2.4), (kept, 1.0)):
            if 0 <= step < len(climbs.rates) and (rows := climbs.at(variant, climbs.rates[step])):
                plot.line(_means(rows, field), colour, width=width)
    return plot.svg()


def _means(rows: Sequence[Mapping[str, Any]], field: str) -> list[tuple[float, float]]:
    found = []
    for step in range(max(len(row[field]) for row in rows)):
        here = [row[field][step] for row in rows if step < len(row[field]) and row[field][step] is not None]
        if here:
            found.append((step + 1.0, math.exp(fmean(map(math.log, here)))))
    return found

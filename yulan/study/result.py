"""What a study found: figures with their intervals, a verdict, and one page about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from yulan import files
from yulan.errors import DataError
from yulan.evaluate.intervals import Interval
from yulan.report.ink import FONT
from yulan.schema import check, plain
from yulan.study.protocol import Protocol

RESULTS, PAGE, TABLES = "results.json", "report.html", "report.md"
HEAD = ("what", "of", "value", "95 % interval", "runs or documents", "unit")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One figure."""

    what: str
    of: str
    """Variant, category or position that it is about."""
    value: float
    low: float
    high: float
    count: int
    """Runs, seeds or documents that it is made of."""
    unit: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """results.json."""

    format: int
    study: str
    protocol: str
    """Digest of protocol.json."""
    commit: str | None
    """Of the clone that made the page."""
    torch: str
    isa: str
    """Instruction set of the machine."""
    complete: bool
    """Every run that the protocol names is there."""
    runs: int
    verdict: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def finding(what: str, of: str, found: Interval, count: int, unit: str) -> Finding:
    return Finding(what=what, of=of, value=found.value, low=found.low, high=found.high, count=count, unit=unit)


def write_results(folder: Path, protocol: Protocol, results: Results, pictures: Mapping[str, tuple[str, str]]) -> None:
    """Write results.json, report.html, report.md and each picture; `pictures`: name -> (caption, SVG)."""
    raw = plain(results)
    check(raw, "study", folder / RESULTS, DataError)
    files.write_json(folder / RESULTS, raw)
    for name, (_, svg) in pictures.items():
        files.write_text(folder / f"{name}.svg", svg)
    files.write_text(folder / TABLES, markdown(protocol, results))
    files.write_text(folder / PAGE, page(protocol, results, pictures))


def _told(protocol: Protocol) -> list[tuple[str, str]]:
    sizes = ", ".join(f"{key} {_list(value)}" for key, value in protocol.settings.items())
    return [
        ("Question", protocol.question),
        ("Outcome", protocol.outcome),
        ("Effect that counts", protocol.effect),
        ("Analysis", protocol.analysis),
        ("Known beforehand", protocol.known),
        ("Sizes", sizes),
        ("Digest of the protocol", protocol.digest),
    ]


def _list(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _made(results: Results) -> str:
    state = "complete" if results.complete else "NOT complete: the figures are of the runs that are there"
    return f"{results.runs} runs, {state}. Commit {results.commit or 'unknown'}, torch {results.torch}, {results.isa}, fp32."


def _rows(results: Results) -> list[tuple[str, ...]]:
    return [(f.what, f.of, f"{f.value:.3g}", f"{f.low:.3g} to {f.high:.3g}", str(f.count), f.unit) for f in results.findings]


def markdown(protocol: Protocol, results: Results) -> str:
    lines = [f"# Study: {protocol.study}", "", "## Protocol, written before the first run", ""]
    lines += [f"- **{name}.** {words}" for name, words in _told(protocol)]
    lines += ["", "## Results", "", f"**{results.verdict}**", "", _made(results), ""]
    lines += [f"- {note}" for note in results.notes] + [""]
    lines += ["| " + " | ".join(row) + " |" for row in (HEAD, ("---",) * len(HEAD), *_rows(results))]
    return "\n".join(lines) + "\n"


STYLE = f"""
body {{ font: 15px/1.5 {FONT}; max-width: 820px; margin: 32px auto; padding: 0 20px; color: #1d232b; background: #fff; }}
h1 {{ font-size: 25px; }} h2 {{ font-size: 18px; margin-top: 34px; }}
dt {{ font-weight: 600; margin-top: 8px; }} dd {{ margin: 0; overflow-wrap: anywhere; }}
.verdict {{ font-size: 17px; font-weight: 600; border-left: 4px solid #3b82c4; padding-left: 14px; }}
table {{ border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }}
td, th {{ text-align: left; padding: 3px 10px 3px 0; border-bottom: 1px solid #d5dae0; vertical-align: top; }}
figure {{ margin: 18px 0; }} figcaption {{ color: #5d6875; font-size: 13px; }} svg {{ max-width: 100%; height: auto; }}
"""


def page(protocol: Protocol, results: Results, pictures: Mapping[str, tuple[str, str]]) -> str:
    """HTML, complete: no script, no network."""
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in _told(protocol))
    drawn = "".join(f"<figure>{svg}<figcaption>{escape(words)}</figcaption></figure>" for words, svg in pictures.values())
    notes = "".join(f"<li>{escape(note)}</li>" for note in results.notes)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Study: {protocol.study}</title><style>{STYLE}</style>'
        f"<h1>Study: {protocol.study}</h1><h2>Protocol, written before the first run</h2><dl>{told}</dl>"
        f'<h2>Results</h2><p class="verdict">{escape(results.verdict)}</p><p>{escape(_made(results))}</p><ul>{notes}</ul>'
        f"{drawn}<h2>Figures</h2><table>{_table(_rows(results))}</table></html>\n"
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in HEAD) + "</tr>"
    return head + "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)

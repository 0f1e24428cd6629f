"""The report as one page that needs no network: pictures, the numbers beside them, and where all of it comes from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
import vl_convert

from yulan.manifest import Manifest
from yulan.model.shape import count, flops_per_token
from yulan.recipe import Book
from yulan.report import charts, flow, lineage, tables
from yulan.report.facts import Facts, in_words
from yulan.report.ink import PAGE

TEMPLATE = "page.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What the gate said about one of its rules."""

    sentence: str
    verdict: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """All that a page is about."""

    book: Book
    facts: Facts
    artifacts: Mapping[str, Manifest]
    """By name, `train@phase-01`, in the order of the work."""
    rules: tuple[Rule, ...]
    environment: Mapping[str, str]
    """Python, torch, lock and processor."""


def render(subject: Subject) -> str:
    """HTML, complete; equal subjects give equal text."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    engine = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    recipe, facts = subject.book.recipe, subject.facts
    specs = {name: charts.finished(charts.chart(name, facts, recipe), PAGE, page=True) for name in charts.DRAWN}
    return engine.get_template(TEMPLATE).render(
        recipe=recipe,
        tiles=tiles(subject),
        specs=_script(specs),
        legends={name: charts.legend(name, facts, recipe) for name in charts.DRAWN},
        library=_library(),
        flow=flow.draw(facts, PAGE),
        lineage=lineage.draw(subject.artifacts, PAGE),
        tables={name: build(subject.book, facts) for name, build in tables.BUILT.items()},
        packing=tables.packing(subject.artifacts),
        digests=tables.digests(subject.artifacts),
        yields=tables.yields(subject.artifacts),
        subject=subject,
    )


def tiles(subject: Subject) -> list[tuple[str, str]]:
    """(figure, what it is), the page's first line."""
    recipe, made = subject.book.recipe, subject.artifacts
    phases = recipe.phases.values()
    tokens = sum(phase.steps * phase.step_tokens for phase in phases)
    flops = sum(flops_per_token(recipe.model, p.context) * p.steps * p.step_tokens for p in phases)
    found = [
        (in_words(count(recipe.model)), "parameters"),
        (in_words(tokens), f"tokens in {len(phases)} phases"),
        (f"{sum(phase.steps for phase in phases):,}", "optimizer steps"),
        (_scientific(flops), "training FLOPs"),
    ]
    if "bundle" in made:
        found.append((in_words(made["bundle"].size, "B"), f"release, {len(made['bundle'].files)} files"))
    if subject.rules:
        held = sum(rule.verdict != "fail" for rule in subject.rules)
        found.append((f"{held} / {len(subject.rules)}", "rules of the gate held"))
    return found


def _scientific(number: float) -> str:
    """`2.0·10¹³`."""
    digits, _, power = f"{number:.1e}".partition("e")
    return f"{digits}·10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _script(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed, once for all charts."""
    code: str = vl_convert.javascript_bundle()
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")

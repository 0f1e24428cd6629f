"""The charts: ratios of the mixes, curves of the training, bits per byte. Vega-Lite, by way of altair."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt

from yulan.recipe import Recipe
from yulan.report.axes import boundaries, branches, dashes, lane, steps
from yulan.report.facts import Facts, Point
from yulan.report.ink import FONT, Ink, colours
from yulan.report.inside import SEEN, inside, palette

WIDTH, HEIGHT = 760, 290
COLUMNS = 7
"""Words in a line of a file's legend."""
SMOOTHED = 10
"""Steps in the thick line's mean."""
MOST = 1500
"""Points of a phase that are drawn; the tables have all."""


def thinned(points: Sequence[Point], most: int = MOST) -> list[Point]:
    """At most `most` points of each phase, evenly spaced, its last one always among them."""
    kept: list[Point] = []
    for phase in dict.fromkeys(point.phase for point in points):
        here = [point for point in points if point.phase == phase]
        every = -(-len(here) // most)
        kept += [point for i, point in enumerate(here) if (len(here) - 1 - i) % every == 0]
    return kept


def mixes(facts: Facts) -> alt.LayerChart:
    """Stacked shares of the families, one bar a phase."""
    totals = {phase: sum(s.tokens for s in facts.mixes if s.phase == phase) for phase in facts.phases}
    rows = []
    for phase, total in totals.items():
        below = 0.0
        for family in facts.families:
            if tokens := sum(s.tokens for s in facts.mixes if s.phase == phase and s.family == family):
                share = tokens / total
                label = f"{share:.0%}" if share >= 0.055 and len(totals) <= 9 else ""
                row = {"phase": phase, "family": family, "tokens": tokens, "from": below, "to": below + share}
                rows.append(row | {"share": share, "middle": below + share / 2, "label": label})
                below += share
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("phase:N", sort=list(totals), title=None, axis=alt.Axis(labelAngle=0 if len(totals) <= 9 else -60, grid=False))
    )
    bars = base.mark_bar(stroke=None, strokeWidth=0).encode(
        y=alt.Y(
            "from:Q", title="share of the phase's tokens", axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1])
        ),
        y2="to:Q",
        color=_family(facts),
        tooltip=["phase:N", "family:N", alt.Tooltip("tokens:Q", format=","), alt.Tooltip("share:Q", format=".1%")],
    )
    labels = base.mark_text(color="#ffffff", fontWeight=600, fontSize=12).encode(y="middle:Q", text="label:N")
    return alt.layer(bars, labels)


def loss(facts: Facts, recipe: Recipe) -> alt.LayerChart:
    """Every step thin, the mean of ten thick."""
    return _curve(facts, recipe, "loss", "loss, nats a token", smooth=True)


def learning_rate(facts: Facts, recipe: Recipe) -> alt.LayerChart:
    return _curve(facts, recipe, "lr", "learning rate")


def gradient_norm(facts: Facts, recipe: Recipe) -> alt.LayerChart:
    """Before clipping, on a logarithmic axis."""
    return _curve(facts, recipe, "grad_norm", "gradient norm", smooth=True, scale="log")


def scores(facts: Facts, recipe: Recipe) -> alt.LayerChart:
    """Bits per byte of each family where a phase ends; a line leads from its parent."""
    rows = []
    for score in facts.scores:
        start = recipe.start(score.phase)
        about = {"family": score.family, "phase": score.phase, "path": lane(recipe, score.phase)}
        rows.append(about | {"step": start, "bits": score.before, "ends": False})
        rows.append(about | {"step": start + recipe.phase(score.phase).steps, "bits": score.after, "ends": True})
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=steps(recipe),
        y=alt.Y("bits:Q", title="bits per byte, held-out text", scale=alt.Scale(zero=False, nice=True)),
        color=_family(facts),
        detail="phase:N",
    )
    lines = base.mark_line(strokeWidth=2.2).encode(strokeDash=dashes())
    dots = base.transform_filter("datum.ends").mark_point(filled=True, size=52, opacity=1)
    dots = dots.encode(tooltip=["family:N", "phase:N", alt.Tooltip("bits:Q", format=".3f")])
    return alt.layer(*boundaries(recipe), lines, dots)


DRAWN: Mapping[str, Callable[[Facts, Recipe], alt.LayerChart]] = {
    "mixes": lambda facts, _: mixes(facts),
    "loss": loss,
    "learning-rate": learning_rate,
    "gradient-norm": gradient_norm,
    "bits-per-byte": scores,
    **{name: partial(inside, name) for name in SEEN},
}


def chart(name: str, facts: Facts, recipe: Recipe) -> alt.LayerChart:
    """One of DRAWN by name."""
    return DRAWN[name](facts, recipe)


def _family(facts: Facts) -> alt.Color:
    palette = colours(facts.families)
    scale = alt.Scale(domain=list(palette), range=list(palette.values()))
    return alt.Color("family:N", scale=scale, title=None)


def _curve(
    facts: Facts, recipe: Recipe, field: str, title: str, *, smooth: bool = False, scale: str = "linear"
) -> alt.LayerChart:
    belongs = branches(recipe)
    points = thinned(facts.curves)
    rows = []
    for phase in facts.phases:
        before = [p for p in points if p.phase == recipe.phase(phase).after][-SMOOTHED:]
        here = [p for p in points if p.phase == phase]
        # The parent's last points lead in, so that the mean goes on over the boundary and the line has no gap.
        drawn = [False] * (len(before) - 1) + [True] * (len(here) + min(len(before), 1))
        for p, draw in zip([*before, *here], drawn, strict=True):
            rows.append({"step": p.step, "value": getattr(p, field), "phase": phase, "path": belongs[phase], "draw": draw})
    palette = alt.Scale(domain=list(_paths(recipe)), range=list(_paths(recipe).values()))
    colour = alt.Color("path:N", title=None, scale=palette)
    ticks = [m * 10.0**e for e in range(-4, 5) for m in (1, 3)] if scale == "log" else alt.Undefined
    zero = False if scale == "linear" else alt.Undefined
    axis = alt.Axis(tickCount=6, values=ticks, format="~g", labelOverlap=scale == "linear")
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=zero, type=scale), axis=axis)
    base = alt.Chart(alt.Data(values=rows)).encode(x=steps(recipe), color=colour, detail="phase:N")
    tooltip = ["phase:N", "step:Q", alt.Tooltip("value:Q", title=field, format=".4g")]
    thin = base.transform_filter("datum.draw").mark_line(strokeWidth=0.8 if smooth else 2.2, opacity=0.45 if smooth else 1.0)
    layers = [*boundaries(recipe), thin.encode(y=y, tooltip=tooltip)]
    if smooth:
        mean = base.transform_window(mean="mean(value)", frame=[1 - SMOOTHED, 0], groupby=["phase"]).transform_filter(
            "datum.draw"
        )
        layers.append(mean.mark_line(strokeWidth=2.2).encode(y=alt.Y("mean:Q", title=title)))
    return alt.layer(*layers)


def legend(name: str, facts: Facts, recipe: Recipe) -> dict[str, str]:
    """Colour of each word of a chart's legend; the page writes it, since a long one does not wrap inside a chart."""
    if name in SEEN:
        return palette(name, facts)
    return colours(facts.families) if name in ("mixes", "bits-per-byte") else _paths(recipe)


def _paths(recipe: Recipe) -> dict[str, str]:
    return colours(list(dict.fromkeys(branches(recipe).values())))


def finished(chart: alt.LayerChart, ink: Ink, *, page: bool = False) -> dict[str, Any]:
    """The Vega-Lite specification, dressed in `ink`. On a page it is as wide as its element and has no legend."""
    words = {
        "labelColor": ink.muted,
        "titleColor": ink.muted,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    dressed = chart.properties(width="container" if page else WIDTH, height=HEIGHT, background=ink.paper).configure(
        font=FONT,
        axis={
            **words,
            "gridColor": ink.line,
            "domainColor": ink.line,
            "tickColor": ink.line,
            "domain": False,
            "titlePadding": 10,
        },
        legend={
            **words,
            "labelColor": ink.text,
            "orient": "top",
            "offset": 22,
            "symbolOpacity": 1,
            "symbolStrokeWidth": 2.5,
            "columns": COLUMNS,
            "disable": page,
        },
        view={"stroke": None},
        rule={"color": ink.line},
        text={"color": ink.muted},
        autosize={"type": "fit-x", "contains": "padding"},
        padding=8,
    )
    spec: dict[str, Any] = dressed.to_dict()
    return spec

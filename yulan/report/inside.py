"""The charts of stability: what was seen inside the model while it was trained, and the steps that were refused."""

from collections.abc import Sequence

import altair as alt

from yulan.recipe import Recipe
from yulan.report.axes import boundaries, dashes, lane, steps
from yulan.report.facts import Facts, Look, What
from yulan.report.ink import GROUPS, REFUSED, ramp

SEEN: dict[str, What] = {
    "hidden-rms": "hidden_rms",
    "attention-score": "score_max",
    "group-gradient": "grad_norm",
    "update-ratio": "update_ratio",
}
"""What each chart is of."""
TITLES: dict[What, str] = {
    "hidden_rms": "RMS of the residual stream",
    "score_max": "largest score before softmax",
    "grad_norm": "gradient norm, L2",
    "update_ratio": "norm of the update / of the weights",
}
LOGARITHMIC: dict[What, tuple[int, ...]] = {"hidden_rms": (1, 2, 5), "grad_norm": (1, 3), "update_ratio": (1, 3)}
"""Ticks of a decade. Scores are drawn from 0: they may be negative."""
LAYERS: tuple[What, ...] = ("hidden_rms", "score_max")
"""Seen layer by layer; the others by group."""
MOST = 8
"""Layers that are drawn; the table has all."""
WORD = "refused step"


def inside(name: str, facts: Facts, recipe: Recipe) -> alt.LayerChart:
    """One of SEEN by name: a line for each layer or group, and a mark at the foot for each refused step."""
    what = SEEN[name]
    logarithmic = LOGARITHMIC.get(what)
    ticks = [m * 10.0**e for e in range(-7, 7) for m in logarithmic] if logarithmic else alt.Undefined
    scale = alt.Scale(type="log", nice=False, padding=14) if logarithmic else alt.Scale(zero=True, nice=True)
    axis = alt.Axis(values=ticks, format=".3~g", tickCount=6)
    base = alt.Chart(alt.Data(values=_rows(facts, recipe, what))).encode(
        x=steps(recipe),
        y=alt.Y("value:Q", title=TITLES[what], scale=scale, axis=axis),
        color=_colour(palette(name, facts)),
        detail=["phase:N", "place:N"],
    )
    lines = base.mark_line(strokeWidth=1.8).encode(strokeDash=dashes())
    dots = base.transform_filter("datum.own").mark_point(filled=True, size=18, opacity=1)
    dots = dots.encode(tooltip=["phase:N", "step:Q", "place:N", alt.Tooltip("value:Q", format=".3g")])
    return alt.layer(*boundaries(recipe), lines, dots, *_refused(facts, recipe, palette(name, facts)))


def palette(name: str, facts: Facts) -> dict[str, str]:
    """Colour of each word of a chart's legend: layers from cool to warm, groups apart, and the refused steps if there are any."""
    what = SEEN[name]
    places = list(dict.fromkeys(row.place for row in drawn(facts.looks, what)))
    found = ramp(places) if what in LAYERS else dict(zip(places, GROUPS, strict=False))
    return found | ({WORD: REFUSED} if facts.refused else {})


def drawn(looks: Sequence[Look], what: What) -> list[Look]:
    """Looks of the places that are drawn: all groups, and at most MOST layers, the first and the last among them."""
    here = [row for row in looks if row.what == what]
    places = list(dict.fromkeys(row.place for row in here))
    if what in LAYERS and len(places) > MOST:
        places = [places[round(i * (len(places) - 1) / (MOST - 1))] for i in range(MOST)]
    return [row for row in here if row.place in places]


def _rows(facts: Facts, recipe: Recipe, what: What) -> list[dict[str, object]]:
    """A logarithmic axis has no 0: a last step whose learning rate is 0 moves nothing. A parent's last look leads a phase in."""
    least = 0.0 if what in LOGARITHMIC else -float("inf")
    seen: dict[str, list[Look]] = {phase: [] for phase in facts.phases}
    for row in drawn(facts.looks, what):
        if row.value > least:
            seen[row.phase].append(row)
    rows: list[dict[str, object]] = []
    for phase, own in seen.items():
        before = seen.get(recipe.phase(phase).after, [])
        last = {row.place: row for row in before}
        for row in [*last.values(), *own]:
            about = {"phase": phase, "path": lane(recipe, phase), "own": row.phase == phase}
            rows.append(about | {"step": row.step, "place": row.place, "value": row.value})
    return rows


def _colour(colours: dict[str, str]) -> alt.Color:
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color("place:N", title=None, scale=scale)


def _refused(facts: Facts, recipe: Recipe, colours: dict[str, str]) -> list[alt.Chart]:
    if not facts.refused:
        return []
    rows = [{"step": row.step, "phase": row.phase, "why": row.why, "place": WORD} for row in facts.refused]
    marks = alt.Chart(alt.Data(values=rows)).mark_point(shape="triangle-up", filled=True, size=70, opacity=1, yOffset=-5)
    return [marks.encode(x=steps(recipe), y=alt.value("height"), color=_colour(colours), tooltip=["phase:N", "step:Q", "why:N"])]

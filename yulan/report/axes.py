"""What charts over the steps have in common: the paths, the axis, the rules where phases begin."""

import altair as alt

from yulan.recipe import Recipe

TRUNK = "shared"


def branches(recipe: Recipe) -> dict[str, str]:
    """Phase -> what its curve belongs to: `shared` by several finals, or the final it leads to."""
    leads: dict[str, list[str]] = {}
    for leaf in recipe.leaves():
        for phase in recipe.path(leaf):
            leads.setdefault(phase, []).append(leaf)
    return {phase: leaves[0] if len(leaves) == 1 else TRUNK for phase, leaves in leads.items()}


def lane(recipe: Recipe, phase: str) -> str:
    """`main`, or `variant` for a phase that only another final than the main one lies behind; see `dashes`."""
    main = recipe.leaves()[0] if recipe.leaves() else ""
    return "main" if branches(recipe)[phase] in (TRUNK, main) else "variant"


def dashes() -> alt.StrokeDash:
    """Lines off the main path are dashed; rows say `path`."""
    return alt.StrokeDash("path:N", legend=None, scale=alt.Scale(domain=["main", "variant"], range=[[1, 0], [5, 4]]))


def steps(recipe: Recipe) -> alt.X:
    end = max(recipe.start(name) + phase.steps for name, phase in recipe.phases.items())
    return alt.X(
        "step:Q", title="global step", scale=alt.Scale(domain=[0, end], nice=False), axis=alt.Axis(grid=False, tickCount=8)
    )


def boundaries(recipe: Recipe) -> list[alt.Chart]:
    """A rule where phases begin, with the first one's name above while there is room; a legend names the forks."""
    starts: dict[int, list[str]] = {}
    for name in recipe.phases:
        starts.setdefault(recipe.start(name), []).append(name)
    room = len(starts) <= 6
    rows = [{"start": step, "name": names[0] if room else ""} for step, names in sorted(starts.items())]
    base = alt.Chart(alt.Data(values=rows)).encode(x="start:Q")
    rules = base.mark_rule(strokeDash=[2, 3], strokeWidth=1)
    names = base.mark_text(align="left", baseline="bottom", dx=3, dy=-3, fontSize=11).encode(y=alt.value(0), text="name:N")
    return [rules, names]

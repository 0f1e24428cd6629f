"""What authors say of a repository of theirs, against what it holds: its phase, its optimizer states, its architecture."""

from collections.abc import Iterator

from yulan.recipe import Recipe
from yulan.recipe.known import Known
from yulan.release.audit.finding import Finding
from yulan.release.audit.layouts import optimizer
from yulan.release.audit.survey import Survey
from yulan.release.audit.texts import steps_told

SLACK = 0.05
"""Of a phase's steps: how far its end may lie from the recipe's, which drops partial steps that a trainer may have taken."""


def claimed(survey: Survey, recipe: Recipe, known: Known) -> Iterator[Finding]:
    """`main` is the end of the phase that it is said to be, and holds what it is said to hold."""
    main = survey.main
    if main is None:
        return
    end, steps = end_of(recipe, known.phase), recipe.phase(known.phase).steps
    for who, step in steps_told(survey, main).items():
        if abs(step - end) > SLACK * steps:
            near = min(recipe.phases, key=lambda name: abs(end_of(recipe, name) - step))
            off = step - end_of(recipe, near)
            place = f"{abs(off):,} steps {'after' if off > 0 else 'before'} the end of {near}" if off else f"the end of {near}"
            what = f"said to be the end of {known.phase}, step {end:,} by the recipe; {who} says {step:,}, {place}"
            yield Finding(id="claimed-step", severity="error", where=main.name, what=what)
    has = bool(optimizer(main.files))
    if has != known.optimizer:
        what = f"said to {'hold' if known.optimizer else 'lack'} optimizer states, and it {'holds them' if has else 'has none'}"
        yield Finding(id="claimed-states", severity="error" if known.optimizer else "warning", where=main.name, what=what)
    told = model_type(survey)
    if told is not None and told != known.architecture:
        what = f"said to be {known.architecture}, and config.json says {told}"
        yield Finding(id="claimed-architecture", severity="error", where=main.name, what=what)


def end_of(recipe: Recipe, phase: str) -> int:
    """Global step at which a phase ends."""
    return recipe.start(phase) + recipe.phase(phase).steps


def model_type(survey: Survey) -> str | None:
    """As config.json of `main` tells it."""
    main = survey.main
    try:
        config = survey.json(main, "config.json") if main else None
    except ValueError:
        return None
    told = config.get("model_type") if isinstance(config, dict) else None
    return told if isinstance(told, str) else None

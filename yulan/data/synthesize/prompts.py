"""Prompt templates: text files with the fields of their task in braces."""

import re
from collections.abc import Mapping
from pathlib import Path

from yulan.errors import RecipeError
from yulan.recipe.synthesis import CODE, LEAN, PROBLEM
from yulan.schema import suggest

FIELD = re.compile(r"(?<![\\A-Za-z0-9}_^])\{([a-z_]+)\}")
"""Not what LaTeX has in braces: \\boxed{answer}, x^{n}."""
FIELDS: Mapping[str, tuple[str, ...]] = {
    PROBLEM: ("text",),
    CODE: ("text",),
    LEAN[0]: ("before", "tactic", "after"),
    LEAN[1]: ("before", "tactic"),
    LEAN[2]: ("tactic", "after"),
}
QUESTION = ("question",)
"""The field of every other task."""
JUDGE = ("text",)


def read_template(folder: Path, name: str, fields: tuple[str, ...]) -> str:
    """`<folder>/<name>.txt`: what the model is given; ends without a line end.

    Raises: RecipeError: no such file, a field that the task does not fill, or one that does not stand in it exactly once.
    """
    path = folder / f"{name}.txt"
    try:
        text = path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError):
        told = " and ".join(f"{{{field}}}" for field in fields)
        raise RecipeError("the family has no prompt", where=path, cure=f"Write it, as UTF-8, with {told} in it") from None
    found = FIELD.findall(text)
    for field in found:
        if field not in fields:
            raise RecipeError(f"no field is called {field!r}", where=path, cure=suggest(field, list(fields)))
    for field in fields:
        if found.count(field) != 1:
            raise RecipeError(f"{{{field}}} stands in it {found.count(field)} times", where=path, cure="Write it once")
    return text


def fill(template: str, fields: Mapping[str, str]) -> str:
    """Braces in what is filled in stay as they are."""
    return FIELD.sub(lambda found: fields[found[1]], template)

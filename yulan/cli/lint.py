"""`yulan lint [RECIPE|MIX]`."""

import json
import sys
from collections import Counter
from pathlib import Path

import click

from yulan.errors import RecipeError
from yulan.layout import Layout, find_root
from yulan.lint import LEVELS, Finding, lint_file, lint_recipe
from yulan.params import read_params
from yulan.recipe import load_recipe
from yulan.schema import plain


@click.command()
@click.argument("what", required=False, metavar="[RECIPE|MIX]")
@click.option("--json", "as_json", is_flag=True, help="One list of findings.")
def lint(what: str | None, as_json: bool) -> None:
    """Say what is wrong or odd in RECIPE (default: the one in use), or in one MIX file. Errors give exit code 3."""
    found = _found(what)
    if as_json:
        click.echo(json.dumps(plain(found), ensure_ascii=False))
    else:
        for each in found:
            click.echo(f"{each.level:8} {each.where:12} {each.rule:28} {each.what}")
        counts = Counter(each.level for each in found)
        click.echo(", ".join(f"{counts[level]} {level}s" for level in LEVELS), err=True)
    if any(each.level == "error" for each in found):
        sys.exit(RecipeError.exit_code)


def _found(what: str | None) -> tuple[Finding, ...]:
    if what is not None and what.endswith((".yaml", ".yml")):
        return lint_file(Path(what))
    root = find_root()
    name = what or read_params(root).recipe
    return lint_recipe(load_recipe(root, name), Layout(root=root, recipe=name).recipe_folder)

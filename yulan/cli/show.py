"""`yulan show recipe|profile|phase`."""

import json

import click

from yulan.layout import find_root, recipe_names
from yulan.params import read_params
from yulan.profile import load_profile, profile_names
from yulan.recipe import Book, load_recipe
from yulan.schema import plain


@click.group()
def show() -> None:
    """Print a recipe, profile or phase."""


def _book(name: str | None) -> Book:
    root = find_root()
    return load_recipe(root, name or read_params(root).recipe)


@show.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="The canonical form that is hashed.")
def recipe(name: str | None, as_json: bool) -> None:
    """The phases of recipe NAME (default: the one in use) and its digest."""
    book = _book(name)
    made = book.recipe
    if as_json:
        click.echo(json.dumps(plain(made), sort_keys=True, ensure_ascii=False))
        return
    click.echo(f"{made.name}  {made.digest()}")
    click.echo(f"{'phase':18} {'after':12} {'regime':14} {'tokens':>16} {'steps':>8} {'from step':>9} {'context':>7}")
    for key, phase in made.phases.items():
        sizes = f"{phase.tokens:16,} {phase.steps:8,} {made.start(key):9,} {phase.context:7,}"
        click.echo(f"{key:18} {phase.after:12} {phase.regime:14} {sizes}")
    known = ", ".join(recipe_names(find_root()))
    click.echo(f"recipes here: {known}", err=True)


@show.command()
@click.argument("name", required=False)
def profile(name: str | None) -> None:
    """The keys of profile NAME (default: the one in use)."""
    chosen = name or read_params(find_root()).profile
    for key, value in plain(load_profile(chosen)).items():
        click.echo(f"{key:14} {value}")
    click.echo(f"profiles: {', '.join(profile_names())}", err=True)


@show.command()
@click.argument("name")
@click.option("--recipe", "recipe_name", help="Default: the one in use.")
def phase(name: str, recipe_name: str | None) -> None:
    """Quotas of phase NAME, in whole tokens."""
    book = _book(recipe_name)
    wanted = book.recipe.phase(name)
    quotas = book.mix(name).quotas(wanted.steps * wanted.step_tokens)
    for source, tokens in sorted(quotas.items(), key=lambda row: -row[1]):
        click.echo(f"{tokens:14,}  {source}")
    click.echo(
        f"{sum(quotas.values()):14,}  in {wanted.steps:,} steps; {wanted.dropped:,} tokens of the budget do not fill a step"
    )

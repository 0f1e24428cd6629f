"""`yulan plan [RECIPE]`."""

import json

import click

from yulan.layout import find_root
from yulan.params import read_params
from yulan.plan import Plan, make_plan
from yulan.profile import load_profile
from yulan.recipe import load_recipe
from yulan.schema import plain


@click.command()
@click.argument("recipe", required=False)
@click.option("--profile", help="The machine; default: the one in use.")
@click.option("--json", "as_json", is_flag=True)
def plan(recipe: str | None, profile: str | None, as_json: bool) -> None:
    """Say what RECIPE (default: the one in use) costs, before anything runs."""
    root = find_root()
    params = read_params(root)
    name = profile or params.profile
    made = make_plan(load_recipe(root, recipe or params.recipe).recipe, load_profile(name), name)
    if as_json:
        click.echo(json.dumps(plain(made), sort_keys=True))
    else:
        _table(made)


def _table(made: Plan) -> None:
    click.echo(f"{made.recipe} on {made.profile}: {made.parameters:,} parameters, {made.folded:,} folded into plain Llama")
    click.echo(f"{'phase':18} {'tokens':>18} {'steps':>9} {'context':>8} {'FLOPs':>10} {'time':>10} {'checkpoints':>14}")
    for p in made.phases:
        costs = f"{p.flops:10.3g} {_time(p.seconds):>10} {_size(p.checkpoints):>14}"
        click.echo(f"{p.name:18} {p.tokens:18,} {p.steps:9,} {p.context:8,} {costs}")
    steps = sum(p.steps for p in made.phases)
    click.echo(
        f"{'all':18} {made.tokens:18,} {steps:9,} {'':8} {made.flops:10.3g} {_time(made.seconds):>10} {_size(made.disk):>14}"
    )
    click.echo(f"model states: {_size(made.rank_bytes)} a process, activations not counted; time at the profile's measured rate")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 3600:,.1f} h"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"

"""`yulan plan [RECIPE]` and `yulan plan --continue CHECKPOINT`."""

import json
from pathlib import Path

import click

from yulan import manifest
from yulan.errors import ResourceError
from yulan.layout import Layout, find_root, recipe_file
from yulan.params import read_params
from yulan.plan import FORMULA, REPORTABLE, Plan, Rate, make_plan
from yulan.plan.fit import Fit, fit
from yulan.profile import load_profile
from yulan.recipe import Recipe, load_recipe, read_recipe
from yulan.schema import plain

# 7,174 tokens/s a GPU is what the authors' own script works out for 1 T tokens (pretrain/scripts/estimate_mfu.py); by this
# plan's formula that is 43 % of an A800's 312 TFLOP/s. docs/faithful.md says why their own figure is 51.6 %.
MFU, PEAK = 0.43, 312e12


@click.command()
@click.argument("recipe", required=False)
@click.option("--profile", help="The machine; default: the one in use.")
@click.option("--mfu", default=MFU, show_default=True, type=click.FloatRange(0, 1, min_open=True), help="For GPU-hours.")
@click.option("--peak", default=PEAK, show_default=True, type=click.FloatRange(0, min_open=True), help="FLOP/s of one GPU.")
@click.option("--continue", "checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Does it fit?")
@click.option("--phase", help="With --continue: the phase to train; default: the checkpoint's own.")
@click.option("--data", is_flag=True, help="Shares of families and languages instead of costs.")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="With --data: write them as SVG and CSV too.")
@click.option("--json", "as_json", is_flag=True)
def plan(
    recipe: str | None,
    profile: str | None,
    mfu: float,
    peak: float,
    checkpoint: Path | None,
    phase: str | None,
    data: bool,
    into: Path | None,
    as_json: bool,
) -> None:
    """Say what RECIPE (default: the one in use) costs, before anything runs; or whether going on from a checkpoint fits."""
    if checkpoint is not None:
        return _fit(checkpoint, recipe, profile, phase, as_json)
    root = find_root()
    params = read_params(root)
    if data:
        return _data(root, recipe or params.recipe, into)
    name = profile or params.profile
    # The recipe alone, without mixes and sources: they would take longer than all the rest.
    found = read_recipe(recipe_file(root, recipe or params.recipe))
    made = make_plan(found, load_profile(name), name, Rate(mfu=mfu, peak=peak))
    if as_json:
        click.echo(json.dumps(plain(made), sort_keys=True))
    else:
        _table(made)
        _packed(Layout(root=root, recipe=found.name), found)
    return None


def _packed(layout: Layout, recipe: Recipe) -> None:
    """What packing made of the phases whose mix is there."""
    for phase in recipe.phases:
        place = layout.stage("mix", phase)
        about = manifest.read(place.manifest).summary if place.manifest.is_file() else {}
        # Mixes of before there was a choice do not say.
        if "packing" in about:
            lost = f"{about['padding']:,} of {about['tokens']:,} inputs are padding, {about['left_out']:,} ids left out"
            click.echo(f"{phase}, packed {about['packing']}: {lost}, {about['cut_documents']:,} documents cut")


def _data(root: Path, recipe: str, into: Path | None) -> None:
    from yulan.report.curriculum import KINDS, draw_curriculum, lines, shares

    book = load_recipe(root, recipe)
    final = book.recipe.leaves()[0]
    for kind in KINDS:
        click.echo("\n".join(lines(shares(book, kind, final))))
    for path in draw_curriculum(book, final, into) if into is not None else ():
        click.echo(f"wrote {path}", err=True)


def _fit(folder: Path, recipe: str | None, profile: str | None, phase: str | None, as_json: bool) -> None:
    phases = {}
    if recipe is not None or profile is None:
        root = find_root()
        params = read_params(root)
        profile = profile or params.profile
        phases = dict(read_recipe(recipe_file(root, recipe or params.recipe)).phases)
    found = fit(folder, load_profile(profile), phase, phases)
    if as_json:
        click.echo(json.dumps(plain(found) | {"needed": found.needed, "fits": found.fits}, sort_keys=True))
    else:
        _say(found, profile)
    if not found.fits:
        raise ResourceError(
            f"going on from it does not fit: {_size(found.needed)} a device, {_size(found.device)} are there",
            where=folder,
            cure="Choose a profile with more processes, a higher ZeRO stage, more memory, recompute or offload",
        )


def _say(found: Fit, profile: str) -> None:
    parts = found.states
    moments = "with" if found.moments else "without"
    click.echo(f"{found.checkpoint}: step {found.step:,}, {found.parameters:,} parameters, {moments} optimizer states")
    click.echo(f"on {profile}, as in {found.phase}, ZeRO-{parts.zero}, a device:")
    rows = (
        ("weights", parts.weights),
        ("gradients", parts.gradients),
        ("master weights", parts.master),
        ("moments", parts.moments),
        ("exchange", found.bucket),
        ("activations", max(found.activations, found.update)),
        ("a save's copy", found.snapshot),
        ("needed", found.needed),
        ("there", found.device),
    )
    for name, size in rows:
        click.echo(f"  {name:14} {size:18,}")
    click.echo(f"  {'needed if all layers but the first are computed again':52} {found.least:,}")
    click.echo(f"host: {_size(found.host)} for all processes of a node; disk: {_size(found.disk)} a checkpoint")
    if found.fits:
        click.echo(f"fits, {_size(found.device - found.needed)} to spare")


def _table(made: Plan) -> None:
    click.echo(f"{made.recipe}: {made.parameters:,} parameters as trained (the head is counted once if it is tied),")
    click.echo(f"{made.untied:,} with a head of its own, {made.folded:,} folded into plain Llama")
    head = (
        f"{'phase':14} {'tokens':>17} {'from step':>9} {'steps':>7} {'context':>7} {'packing':8} {'FLOPs':>9} {'+recompute':>10}"
    )
    click.echo(f"{head} {'of 1e23':>8} {'GPU-hours':>10} {'time':>10} {'checkpoint':>10} {'kept':>9}")
    for p in made.phases:
        sizes = f"{p.name:14} {p.tokens:17,} {p.start:9,} {p.steps:7,} {p.context:7,} {p.packing:8} {p.flops:9.3g}"
        costs = f"{p.recompute:10.3g} {p.cumulative / REPORTABLE:8.3%} {p.gpu_hours:10,.1f} {_time(p.seconds):>10}"
        click.echo(f"{sizes} {costs} {_size(p.checkpoint):>10} {_size(p.checkpoints):>9}")
    steps, hours, again = (sum(getattr(p, key) for p in made.phases) for key in ("steps", "gpu_hours", "recompute"))
    sizes = f"{'all':14} {made.tokens:17,} {'':9} {steps:7,} {'':7} {'':8} {made.flops:9.3g} {again:10.3g}"
    click.echo(f"{sizes} {'':8} {hours:10,.1f} {_time(made.seconds):>10} {'':10} {_size(made.disk):>9}")
    for path in made.paths:
        click.echo(
            f"to {path.final}: {path.tokens:,} tokens in {path.steps:,} steps, {path.flops:.3g} FLOPs; 6 N D = {path.simple:.3g}"
        )
        if (a := path.anneal) is not None:
            held = f", held from step {a.hold:,}" if a.hold is not None else ""
            click.echo(
                f"  the rate falls from step {a.start:,} over {a.length:,} steps{held}; {path.last_lr:.2g} at the last step"
            )
    click.echo(f"FLOPs: {FORMULA}; +recompute: one more forward pass of the layers; of 1e23: FLOPs along the path")
    click.echo(f"GPU-hours: at {made.rate.mfu:.1%} of {made.rate.peak:.3g} FLOP/s; time: at the rate of profile {made.profile}")
    click.echo("model states a process, without activations:")
    for s in made.states:
        own = f"  <- profile {made.profile}" if s.zero == made.zero else ""
        parts = (
            f"weights {_size(s.weights)}, gradients {_size(s.gradients)}, master {_size(s.master)}, moments {_size(s.moments)}"
        )
        click.echo(f"  ZeRO-{s.zero} {s.total:16,} bytes: {parts}{own}")
    for room in made.rooms:
        names = room.phases[0] if len(room.phases) == 1 else f"{room.phases[0]} and {len(room.phases) - 1} more"
        told = f"{room.needed:,} bytes a device, {room.need.device:,} are there; host {_size(room.need.host)} a node"
        verdict = "fits" if room.fits else "does not fit"
        click.echo(f"{names}, micro-batches of {room.windows} x {room.context:,}: {verdict}: {told}")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 3600:,.1f} h"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"

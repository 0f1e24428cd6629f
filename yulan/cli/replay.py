"""`yulan replay CHECKPOINT`."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from yulan.train.replay.run import Bench

DIFFERENT = 10
"""Exit code of that verdict; EXACT and CLOSE end with 0, what kept a verdict from being found with the codes of errors."""


def _nonce(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9A-Za-z._-]{1,200}", value):
        raise click.BadParameter("a nonce has letters, digits, dots and dashes only, at most 200")
    return value


def _machines(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> list[tuple[int, int]]:
    found = [re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", each) for each in value]
    if not all(found):
        raise click.BadParameter("a machine is written RANKSxTHREADS, as 2x1")
    return [(int(each[1]), int(each[2])) for each in found if each]


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--steps", type=click.IntRange(min=1), help="Train so many; without it up to CHECKPOINT, or as the band says.")
@click.option("--from", "begin", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Checkpoint to train from.")
@click.option("--challenge", metavar="NONCE", callback=_nonce, help="Let this word and the log draw the stretch.")
@click.option("--band", "band_at", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What CLOSE is judged by.")
@click.option("--calibrate", type=click.Path(dir_okay=False, path_type=Path), help="Make a band, write it there, judge nothing.")
@click.option("--with", "machines", metavar="RANKSxTHREADS", multiple=True, callback=_machines, help="To calibrate with.")
@click.option("--profile", help="Machine to run on; without it the one in use.")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Working folder to keep.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a sentence.")
def replay(
    checkpoint: Path,
    steps: int | None,
    begin: Path | None,
    challenge: str | None,
    band_at: Path | None,
    calibrate: Path | None,
    machines: list[tuple[int, int]],
    profile: str | None,
    into: Path | None,
    as_json: bool,
) -> None:
    """Train the steps before CHECKPOINT again and say EXACT, CLOSE (both exit code 0) or DIFFERENT (exit code 10).

    CHECKPOINT: a checkpoint, a run folder, an artifact of train, or a pulled states folder. Stopped, the same command goes on.
    """
    if challenge and begin:
        raise click.UsageError("--challenge draws the stretch; --from cannot name it too")
    from yulan.train.progress import Progress
    from yulan.train.replay import band as bands
    from yulan.train.replay import run, segment, verdict
    from yulan.train.replay.challenge import challenged

    last = segment.kept(checkpoint)[-1]
    bench, band, drawn = _bench(last, profile), bands.read_band(band_at) if band_at else None, None
    steps = steps or (band.steps if band else None)
    if challenge:
        stretch, drawn = challenged(checkpoint, bench.layout, bench.recipe, challenge, steps)
        told = f"of {drawn.first} to {drawn.last}, by sha256 {drawn.draw} of chain {drawn.chain} and nonce {drawn.nonce}"
        click.echo(f"Drawn: step {drawn.step} {told}", err=True)
    else:
        start = segment.kept(begin)[-1] if begin else segment.before(last, bench.layout, bench.recipe)
        stretch = segment.cut(start, last, steps)

    def look(folder: Path) -> Callable[[], None]:
        return Progress(folder, stretch.phase, stretch.target).look

    if calibrate:
        grid = bench.recipe.phase(stretch.phase).grid
        profiles = bands.machines(bench.profile, machines) if machines else bands.perturbed(bench.profile, grid)
        made = run.calibrate(stretch, bench, profiles, into, look)
        bands.write_band(calibrate, made)
        click.echo(f"{calibrate}: {made.steps} steps, {len(made.runs)} runs, {made.moved} of them moved")
        return
    found = run.replay(stretch, bench, into=into, band=band, band_at=band_at, challenge=drawn, look=look)
    click.echo(json.dumps(verdict.verdict_json(found)) if as_json else verdict.sentence(found))
    if found.verdict == "DIFFERENT":
        if found.asked == "EXACT":
            used = f"ZeRO {bench.profile.zero}, {bench.profile.precision} and {bench.profile.attention}"
            click.echo(f"Note: replayed under {used}; others change bits too, and checkpoints do not name theirs", err=True)
        sys.exit(DIFFERENT)


def _bench(checkpoint: Path, profile: str | None) -> "Bench":
    """The recipe that the checkpoint names, from the clone around the working folder."""
    from yulan.layout import Layout, find_root
    from yulan.params import read_params
    from yulan.profile import load_profile
    from yulan.recipe import load_recipe
    from yulan.train.checkpoint.state import read_state
    from yulan.train.replay.run import Bench

    root, name = find_root(), read_state(checkpoint).recipe
    machine = load_profile(profile or read_params(root).profile)
    return Bench(recipe=load_recipe(root, name).recipe, profile=machine, layout=Layout(root=root, recipe=name))

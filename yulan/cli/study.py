"""`yulan study stability|anneal`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from yulan.layout import Layout
    from yulan.recipe import Book
    from yulan.study.result import Results

INTO = click.Path(file_okay=False, path_type=Path)


@click.group()
def study() -> None:
    """Ask a question of training: many small runs, the outcome written down before the first."""


def _numbers(context: click.Context, option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        found = tuple(float(each) for each in value.split(","))
    except ValueError:
        found = ()
    if not found or any(not 0 < each < 1e3 for each in found) or sorted(set(found)) != list(found):
        raise click.BadParameter("rates are rising numbers over 0, as 0.003,0.01,0.03")
    return found


@study.command()
@click.option("--recipe", "recipe_name", help="Shape, optimizer and data; default: the one in use.")
@click.option("--source", "sources", multiple=True, help="Source to train on, in equal shares; again for more.")
@click.option("--seeds", type=click.IntRange(min=2), help="How many; default: 8.")
@click.option("--rates", callback=_numbers, help="Peak learning rates, rising, with commas between them.")
@click.option("--steps", type=click.IntRange(min=24), help="Of each run; default: 64.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(min=1), help="Runs at a time, one thread each.")
@click.option("--known", help="What you looked at before; it stands in the protocol. Default: nothing, or what stands there.")
@click.option("--into", type=INTO, help="Folder of the study; default: under runs/.")
def stability(
    recipe_name: str | None,
    sources: tuple[str, ...],
    seeds: int | None,
    rates: tuple[float, ...] | None,
    steps: int | None,
    processes: int,
    known: str | None,
    into: Path | None,
) -> None:
    """Train small models: muP, re-parameterisation and z-loss against a plain start, by highest stable peak rate.

    Some 110 runs of about 8 s of one core, at most 60 s each; about 10 minutes on two idle cores. Stopped, the same
    command goes on.
    """
    from yulan.study.inputs import open_artifact
    from yulan.study.stability import Design, run_study

    layout, book = _here(recipe_name)
    given: dict[str, Any] = {"rates": rates, "seeds": tuple(range(1, seeds + 1)) if seeds else None, "steps": steps}
    given |= {"sources": sources or None, "decay": steps // 4 if steps else None, "warmup": steps // 4 if steps else None}
    design = Design(**{key: value for key, value in given.items() if value is not None})
    shards, digest = open_artifact(layout, "shards")
    folder = into or layout.runs("study", "stability")
    run_study(
        design,
        book.recipe,
        layout.recipe_folder / "recipe.yaml",
        shards,
        folder,
        data={"shards": digest},
        known=_known(folder, known),
        processes=processes,
        tell=_tell,
    )
    from yulan.study.stability_report import stability_report

    _say(folder, stability_report(folder, *_made_here(layout.root)))


@study.command()
@click.option("--recipe", "recipe_name", help="Default: the one in use.")
@click.option("--phase", default="phase-03", show_default=True, help="The anneal; runs begin from its parent's checkpoint.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Data orders of each arm.")
@click.option("--steps", type=click.IntRange(min=1), help="Of each run; default: the phase's.")
@click.option("--held-tokens", default=16384, show_default=True, type=click.IntRange(min=2), help="Held-out, of each source.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(min=1), help="Runs at a time, one thread each.")
@click.option("--known", help="What you looked at before; it stands in the protocol. Default: nothing, or what stands there.")
@click.option("--into", type=INTO, help="Folder of the study; default: under runs/.")
def anneal(
    recipe_name: str | None,
    phase: str,
    seeds: int,
    steps: int | None,
    held_tokens: int,
    processes: int,
    known: str | None,
    into: Path | None,
) -> None:
    """Anneal one checkpoint three ways: stable mix, targeted mix, and that one at long context; by bits per byte.

    9 runs of about 90 s of one core; about 8 minutes on two idle cores. Stopped, the same command goes on.
    """
    from yulan.study import anneal as kind
    from yulan.study.anneal_report import anneal_report
    from yulan.study.inputs import last_checkpoint, open_artifact

    layout, book = _here(recipe_name)
    kind.arms_of(book.recipe, phase)
    parent = book.recipe.phase(phase).after
    design = kind.Design(
        phase=phase,
        steps=steps or book.recipe.phase(phase).steps,
        seeds=tuple(range(1, seeds + 1)),
        held_tokens=held_tokens,
    )
    names: dict[str, tuple[str, str | None]] = {
        "shards": ("shards", None),
        "tokenizer": ("tokenizer", None),
        "mix": ("mix", parent),
        "train": ("train", parent),
    }
    opened = {key: open_artifact(layout, *name) for key, name in names.items()}
    inputs = kind.Inputs(
        recipe=layout.recipe_folder / "recipe.yaml",
        shards=opened["shards"][0],
        mix=opened["mix"][0],
        parent=last_checkpoint(opened["train"][0]),
        tokenizer=opened["tokenizer"][0],
    )
    folder = into or layout.runs("study", "anneal")
    data = {key: digest for key, (_, digest) in opened.items()}
    kind.run_study(design, book, inputs, folder, data=data, known=_known(folder, known), processes=processes, tell=_tell)
    families = {name: source.family for name, source in book.sources.sources.items()}
    _say(folder, anneal_report(folder, families, *_made_here(layout.root)))


def _known(folder: Path, given: str | None) -> str:
    """What stands in the folder's protocol, so that the command without it goes on with a study."""
    from yulan.study.protocol import PROTOCOL, read_protocol

    return given or (read_protocol(folder).known if (folder / PROTOCOL).exists() else "nothing")


def _say(folder: Path, results: "Results") -> None:
    click.echo(results.verdict)
    click.echo(f"{folder / 'report.html'}")


def _made_here(root: Path) -> tuple[str | None, str, str]:
    """Commit, torch and instruction set."""
    import subprocess
    from importlib import metadata

    from yulan.isa import isa

    done = subprocess.run(["git", "rev-parse", "--verify", "-q", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None, metadata.version("torch"), isa()


def _here(recipe: str | None) -> "tuple[Layout, Book]":
    from yulan.layout import Layout, find_root
    from yulan.params import read_params
    from yulan.recipe import load_recipe

    root = find_root()
    name = recipe or read_params(root).recipe
    return Layout(root=root, recipe=name), load_recipe(root, name)


def _tell(done: int, total: int, row: dict[str, Any]) -> None:
    told = row.get("diverged") or "whole"
    click.echo(f"{done:3} of {total}  {row['name']:24} {row['seconds']:6.1f} s  {told}", err=True)

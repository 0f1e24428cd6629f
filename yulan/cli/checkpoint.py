"""`yulan checkpoint list|verify|diff|import|export|shrink|rebalance`."""

import json
from pathlib import Path

import click

from yulan.train.checkpoint.state import Precision, Target
from yulan.train.checkpoint.table import Kept

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW = click.Path(path_type=Path)


@click.group()
def checkpoint() -> None:
    """Look at checkpoints, compare them, and carry them in and out."""


@checkpoint.command("list")
@click.argument("folder", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def list_(folder: Path, as_json: bool) -> None:
    """Every checkpoint in or below FOLDER, and whether each byte is as its manifest says."""
    from yulan.schema import plain
    from yulan.train.checkpoint.table import kept_in

    rows = kept_in(folder)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "checkpoints": plain(rows)}))
        return
    for row in rows:
        click.echo(_line(row))
        for each in row.damage:
            click.echo(f"  {each}")


def _line(row: Kept) -> str:
    step = f"step {row.global_step:>9,}" if row.global_step is not None else f"{'step unknown':>14}"
    tokens = f"{row.tokens:>18,} tokens" if row.tokens is not None else " " * 25
    state = "damaged" if row.damage else "whole"
    return f"{step}{tokens}{row.size:>18,} bytes  {row.trajectory or '':5}  {state:7}  {row.folder}"


@checkpoint.command()
@click.argument("folder", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a sentence.")
def verify(folder: Path, as_json: bool) -> None:
    """Check every byte of every checkpoint in or below FOLDER; damaged ones are named and the exit code is 5."""
    from yulan.train.checkpoint.table import kept_in, require_all_whole

    rows = kept_in(folder)
    require_all_whole(rows, folder)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "digests": {row.folder: row.digest for row in rows}}))
    else:
        click.echo(f"{folder}: {len(rows)} checkpoints, {sum(row.size for row in rows):,} bytes, all whole")


@checkpoint.command()
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with every tensor.")
@click.pass_context
def diff(context: click.Context, a: Path, b: Path, as_json: bool) -> None:
    """Compare checkpoints A and B tensor by tensor: equal, cast, or how far apart. The exit code is 1 if any differs.

    Either may also be a folder of .safetensors files, as a release has them.
    """
    from yulan.schema import plain
    from yulan.train.checkpoint.compare import diff as compare

    pairs = compare(a, b)
    if as_json:
        click.echo(json.dumps({"a": str(a), "b": str(b), "tensors": plain(pairs)}))
    else:
        for pair in pairs:
            if pair.relation != "equal":
                far = "  ".join(f"{word} {_number(each)}" for word, each in (("max", pair.max_abs), ("relative", pair.relative)))
                click.echo(f"{pair.set:10}  {pair.relation:9}  {pair.dtype or '':8}  {far}  {pair.name}")
        equal = sum(pair.relation == "equal" for pair in pairs)
        click.echo(f"{len(pairs)} tensors: {equal} equal, {len(pairs) - equal} differ", err=True)
    context.exit(int(any(pair.relation != "equal" for pair in pairs)))


def _number(value: float | None) -> str:
    return f"{value:9.3e}" if value is not None else f"{'-':9}"


@checkpoint.command()
@click.argument("folder", type=FOLDER)
@click.option("--moments", required=True, type=click.Choice(["bf16", "fp8"]), help="How the moments are stored.")
@click.option("--into", required=True, type=NEW, help="The new checkpoint folder.")
def shrink(folder: Path, moments: Precision, into: Path) -> None:
    """Copy checkpoint FOLDER with moments in fewer bytes: 8 of 12 a parameter with bf16, 6.1 with fp8."""
    from yulan.train.checkpoint.shrink import shrink as work

    work(folder, into, moments)
    before, after = (sum(path.stat().st_size for path in each.iterdir()) for each in (folder, into))
    click.echo(f"{into}: {after:,} bytes of {before:,}")


@checkpoint.command()
@click.argument("folder", type=FOLDER)
@click.option("--into", required=True, type=NEW, help="The new checkpoint folder.")
@click.option("--check", is_flag=True, help="It is there: write nothing, hold every tensor of it to FOLDER.")
def rebalance(folder: Path, into: Path, check: bool) -> None:
    """Copy checkpoint FOLDER with alphas back near their start and the rest moved into the matrices: the same function."""
    from yulan.train.checkpoint.rebalance import rebalance_checkpoint, require_rebalanced

    if not check:
        made = rebalance_checkpoint(folder, into)
        click.echo(f"{into}: {sum(c != 1.0 for c in made.values())} of {len(made)} alphas moved, by powers of two")
    require_rebalanced(folder, into)
    click.echo(f"{into}: every tensor follows from {folder}")


@checkpoint.command("import")
@click.argument("folder", type=FOLDER)
@click.option("--into", required=True, type=NEW, help="The new checkpoint folder.")
@click.option("--phase", required=True, help="The phase of the recipe that the checkpoint lies in.")
@click.option("--recipe", "name", help="Default: the one in use.")
@click.option("--at-end", is_flag=True, help="It ends the phase, whatever number its files give to that step.")
def import_(folder: Path, into: Path, phase: str, name: str | None, at_end: bool) -> None:
    """Take in a DeepSpeed checkpoint: the universal layout, or its own ZeRO-1 or ZeRO-2 files. Nothing in it is run."""
    from yulan.layout import find_root
    from yulan.params import read_params
    from yulan.recipe import load_recipe
    from yulan.train.checkpoint.incoming import find, take_in
    from yulan.train.checkpoint.shrink import require_new
    from yulan.train.checkpoint.standing import standing

    root = find_root()
    recipe = load_recipe(root, name or read_params(root).recipe).recipe
    require_new(into)
    found = find(folder)
    state = standing(recipe, phase, found.global_step, found.adam_step, at_end=at_end)
    take_in(found, state, recipe.model, into)
    click.echo(f"{into}: step {state.global_step:,} of {phase}, from {found.layout} files of step {found.global_step:,}")


@checkpoint.command()
@click.argument("folder", type=FOLDER)
@click.option("--to", "target", required=True, type=click.Choice(["universal", "dcp", "hf-trainer"]), help="Whose files.")
@click.option("--into", required=True, type=NEW, help="A new folder, not below artifacts/: these tools want pickles.")
def export(folder: Path, target: Target, into: Path) -> None:
    """Write checkpoint FOLDER as DeepSpeed, torch.distributed.checkpoint or the Hugging Face Trainer take it up."""
    from yulan.train.checkpoint.outgoing import export as work

    work(folder, into, target)
    click.echo(f"{into}: {sum(path.stat().st_size for path in into.rglob('*') if path.is_file()):,} bytes")

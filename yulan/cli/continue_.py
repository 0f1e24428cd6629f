"""`yulan continue FOLDER --phase NAME`."""

from pathlib import Path

import click


@click.command("continue")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--phase", required=True, help="Phase of the recipe in use to train.")
@click.option("--profile", help="Machine to run on; without it the one in use.")
@click.option("--steps", type=click.IntRange(min=1), help="Train so many steps; without it the whole phase.")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Run folder; without it one below runs/.")
@click.option("--fresh-optimizer", is_flag=True, help="Begin with zero moments; it goes on the record.")
def continue_(folder: Path, phase: str, profile: str | None, steps: int | None, into: Path | None, fresh_optimizer: bool) -> None:
    """Train on from the checkpoint in FOLDER, at any number of ranks. Stopped, the same command goes on."""
    from yulan import manifest
    from yulan.layout import MANIFEST, Layout, find_root
    from yulan.params import read_params
    from yulan.profile import load_profile
    from yulan.recipe import load_recipe
    from yulan.train.onward import continue_from, find_checkpoint
    from yulan.train.progress import Progress

    root = find_root()
    params = read_params(root)
    recipe = load_recipe(root, params.recipe).recipe
    layout = Layout(root=root, recipe=params.recipe)
    if into is None:
        into = layout.runs(phase, manifest.read(find_checkpoint(folder) / MANIFEST).digest)
    outcome = continue_from(
        folder,
        into,
        layout,
        recipe,
        phase,
        load_profile(profile or params.profile),
        steps=steps,
        fresh_optimizer=fresh_optimizer,
        look=Progress(into, phase, steps or recipe.phase(phase).steps).look,
    )
    click.echo(f"{outcome.kept[-1]}: step {outcome.state.global_step}, trajectory {outcome.state.trajectory}")

"""Write a recipe's mixes and sources from the tables that a model's authors published. No stage: it was run once.

    python -m pipelines.import_mixes yulan-mini data_mix.csv data_totals.csv data_files.csv.gz public_datasets.csv \\
        yulan-team/YuLan-Mini-Datasets 26_20241127_205447=phase-26-4k

The data set is the one that holds the token files; the words after it rename mixes that are not called after their number.
"""

from pathlib import Path

import click

from yulan.errors import told
from yulan.layout import Layout, find_root
from yulan.recipe.published import Tables, import_mixes


@click.command()
@click.argument("recipe")
@click.argument("mixes")
@click.argument("totals")
@click.argument("listed")
@click.argument("datasets")
@click.argument("repo")
@click.argument("renamed", nargs=-1)
def main(recipe: str, mixes: str, totals: str, listed: str, datasets: str, repo: str, renamed: tuple[str, ...]) -> None:
    folder = Layout(root=find_root(), recipe=recipe).recipe_folder
    tables = Tables(
        mixes=Path(mixes),
        totals=Path(totals),
        files=Path(listed),
        datasets=Path(datasets),
        origins=folder / "origins.csv",
        benchmarks=folder / "benchmarks.csv",
        repo=repo,
    )
    names = [each.partition("=") for each in renamed]
    if odd := [old for old, _, new in names if not new]:
        raise click.BadParameter(f"{odd[0]!r} is not OLD=NEW", param_hint="RENAMED")
    written = import_mixes(tables, {old: new for old, _, new in names}, folder)
    print(f"{folder.name}: {len(written)} mixes written")


if __name__ == "__main__":
    with told():
        main()

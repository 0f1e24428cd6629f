"""Write a small recipe's mixes from a large one's: `python -m pipelines.make_miniature yulan-mini nano-27`. No stage.

The small recipe's folder holds its phases (recipe.yaml) and what stands for what (stand-ins.csv).
"""

import click

from yulan import files
from yulan.errors import told
from yulan.layout import find_root, recipe_file
from yulan.mix import mix_text
from yulan.recipe import load_recipe, read_recipe
from yulan.recipe.miniature import read_stand_ins, shrink

REPEATS = 3
"""Small sources may be used so many times again."""


@click.command()
@click.argument("large")
@click.argument("small")
def main(large: str, small: str) -> None:
    root = find_root()
    path = recipe_file(root, small)
    comment = (
        f"# Shares of {large}'s phase of the same name. Written by pipelines/make_miniature.py; make it again, do not edit.\n"
    )
    rules = read_stand_ins(path.parent / "stand-ins.csv")
    for name, mix in shrink(load_recipe(root, large), read_recipe(path), rules, REPEATS).items():
        files.write_text(path.parent / "mixes" / f"{name}.yaml", comment + mix_text(mix))
        print(f"{name}: {mix.total:,} tokens of {len(mix.sources)} sources")


if __name__ == "__main__":
    with told():
        main()

"""`yulan gc`."""

import click


@click.command()
def gc() -> None:
    """Remove run folders of training and of data stages whose results are in artifacts/, and say how many bytes that frees."""
    from yulan.data import partitions
    from yulan.params import layout_here
    from yulan.train import sweep

    swept = [*sweep.sweep(layout_here()), *partitions.sweep(layout_here())]
    for folder, freed in swept:
        click.echo(f"{folder}  {freed:,} bytes")
    click.echo(f"{len(swept)} run folders, {sum(freed for _, freed in swept):,} bytes freed")

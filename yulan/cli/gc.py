"""`yulan gc`."""

import click


@click.command()
def gc() -> None:
    """Remove run folders whose results are in artifacts/, and say how many bytes that frees."""
    from yulan.params import layout_here
    from yulan.train.sweep import sweep

    swept = sweep(layout_here())
    for folder, freed in swept:
        click.echo(f"{folder}  {freed:,} bytes")
    click.echo(f"{len(swept)} run folders, {sum(freed for _, freed in swept):,} bytes freed")

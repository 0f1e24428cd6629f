"""`yulan allow-spend GPU_HOURS`."""

import click


@click.command("allow-spend")
@click.argument("gpu_hours", type=click.FloatRange(min=0))
def allow_spend(gpu_hours: float) -> None:
    """Let training of the recipe in use spend up to GPU_HOURS, above the recipe's own limit."""
    from yulan.params import layout_here
    from yulan.train.spend import allow

    layout = layout_here()
    allow(layout.spend(), gpu_hours)
    click.echo(f"{layout.recipe}: up to {gpu_hours:g} device hours are allowed")

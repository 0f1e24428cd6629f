"""`yulan data`."""

import click

from yulan.cli.data.fetch import fetch


@click.group()
def data() -> None:
    """Fetch published token files."""


data.add_command(fetch)

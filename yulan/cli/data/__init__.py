"""`yulan data`: what training saw, when, from where."""

import click

from yulan.cli.data.at import at
from yulan.cli.data.seen import seen


@click.group()
def data() -> None:
    """Ask what a model was trained on, and when."""


for command in (at, seen):
    data.add_command(command)

"""Options that several commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., None])


def edits_cards(command: Command) -> Command:
    """`--from`, `--key` and `--token-file` of what changes cards on a hub."""
    held = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--token-file", type=held, help="Holds the token. Without it: HF_TOKEN, else your own login."),
        click.option("--key", type=held, help="The private key that the card is signed with."),
        click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one."),
    ):
        command = option(command)
    return command

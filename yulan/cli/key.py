"""`yulan key`."""

from pathlib import Path

import click


@click.group()
def key() -> None:
    """Keys that releases are signed with."""


@key.command()
@click.argument("file", type=click.Path(path_type=Path))
def new(file: Path) -> None:
    """Make a key: FILE, which nobody else may read, and FILE.pub, which everybody may."""
    from yulan.release.trust import new_key

    click.echo(f"{file.name}.pub: {new_key(file)}")

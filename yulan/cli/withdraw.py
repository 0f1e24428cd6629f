"""`yulan withdraw hf://OWNER/NAME@REVISION --reason TEXT`."""

from pathlib import Path

import click

from yulan.cli.options import edits_cards


@click.command()
@click.argument("address", metavar="hf://OWNER/NAME@REVISION")
@click.option("--reason", required=True, help="One line, for whoever asks for it.")
@click.option("--use", "replacement", metavar="hf://…", help="What to use instead.")
@edits_cards
def withdraw(
    address: str, reason: str, replacement: str | None, endpoint: str | None, key: Path | None, token_file: Path | None
) -> None:
    """Say of a branch, in all three repositories, that it should not be used.

    Card and checkpoints.csv say so, `yulan pull` and `yulan continue` refuse it; weights, content signature and tags stay.
    """
    from yulan.release.names import parse

    parsed = parse(address)
    if replacement is not None:
        parse(replacement)
    from yulan.release.hub import Hub, token_for
    from yulan.release.withdraw import Editor

    hub = Hub(endpoint, token_for(token_file.read_text().strip() if token_file else None))
    editor = Editor(hub=hub, name=parsed.name, key=key, say=lambda line: click.echo(line, err=True))
    edited = editor.withdraw(parsed.revision, reason, replacement)
    click.echo(
        f"{parsed.name}@{parsed.revision}: " + (f"withdrawn; {len(edited)} cards say so" if edited else "was withdrawn already")
    )

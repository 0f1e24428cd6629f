"""`yulan erratum hf://OWNER/NAME@REVISION --text TEXT`."""

from pathlib import Path

import click

from yulan.cli.options import edits_cards


@click.command()
@click.argument("address", metavar="hf://OWNER/NAME@REVISION")
@click.option("--text", required=True, help="What was wrong, and what is right.")
@edits_cards
def erratum(address: str, text: str, endpoint: str | None, key: Path | None, token_file: Path | None) -> None:
    """Add a dated correction to a branch's card, in all three repositories; nothing else changes."""
    from yulan.release.names import parse

    parsed = parse(address)
    from yulan.release.hub import Hub, token_for
    from yulan.release.withdraw import Editor

    hub = Hub(endpoint, token_for(token_file.read_text().strip() if token_file else None))
    editor = Editor(hub=hub, name=parsed.name, key=key, say=lambda line: click.echo(line, err=True))
    edited = editor.erratum(parsed.revision, text)
    click.echo(f"{parsed.name}@{parsed.revision}: {len(edited)} cards edited")

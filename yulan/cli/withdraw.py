"""`yulan withdraw hf://OWNER/NAME@REVISION --reason TEXT`."""

from pathlib import Path

import click


@click.command()
@click.argument("address", metavar="hf://OWNER/NAME@REVISION")
@click.option("--reason", required=True, help="One line, for whoever asks for it.")
@click.option("--use", "replacement", metavar="hf://…", help="What to use instead.")
@click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one.")
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The private key that the card is signed with."
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Holds the token. Without it: HF_TOKEN, else your own login.",
)
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

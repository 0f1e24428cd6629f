"""`yulan pull hf://OWNER/NAME@REVISION`."""

from pathlib import Path
from typing import Literal

import click


@click.command()
@click.argument("address", metavar="hf://OWNER/NAME@REVISION")
@click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one.")
@click.option("--into", type=click.Path(path_type=Path), help="Folder to make; without it NAME-REVISION here.")
@click.option(
    "--only",
    type=click.Choice(["weights", "optimizer", "data", "card"]),
    help="That part of the release, whichever of its three names is given.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The publisher's public key, or keys.json: demand its signature before anything is fetched.",
)
@click.option(
    "--locations",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="locations.json: other addresses of the files, tried before the hub's.",
)
@click.option("--force", is_flag=True, help="Fetch it although it was withdrawn.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds a token, for private ones."
)
def pull(
    address: str,
    endpoint: str | None,
    into: Path | None,
    only: Literal["weights", "optimizer", "data", "card"] | None,
    key: Path | None,
    locations: Path | None,
    force: bool,
    token_file: Path | None,
) -> None:
    """Fetch a revision, checking every byte on its way. Interrupted, the same command goes on where it stopped."""
    from yulan.release.names import parse

    parsed = parse(address)
    from yulan.release.hub import Hub, token_for
    from yulan.release.locations import NOWHERE, read_locations
    from yulan.release.pull import pull as run
    from yulan.release.trust import load_trust

    trust = load_trust(key) if key else None
    others = read_locations(locations) if locations else NOWHERE
    token = token_for(token_file.read_text().strip() if token_file else None)
    folder = into or Path(f"{parsed.repo.id.partition('/')[2]}-{parsed.revision.replace('/', '-')}")
    done = run(Hub(endpoint, token), parsed, folder, only, lambda line: click.echo(line, err=True), trust, force, others)
    for place, count in done.served.items() if locations else ():
        click.echo(f"{count} files from {place}", err=True)
    signed = f"; signed as {done.signed.subject}" if done.signed else ""
    click.echo(f"{folder}: {done.checked.files} files, all match{signed}; {done.fetched:,} bytes came over the wire")

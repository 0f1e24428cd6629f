"""`yulan reproduce hf://OWNER/NAME@REVISION`."""

import sys
from pathlib import Path

import click

DIFFERENT = 10
"""Exit code where a bit that should be equal is not; as of `yulan replay`."""
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("address", metavar="hf://OWNER/NAME@REVISION")
@click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one.")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), required=True, help="Clone to make and work in.")
@click.option("--rebuild", is_flag=True, help="Build the whole release from raw sources and compare every digest.")
@click.option("--replay", metavar="K", type=click.IntRange(min=1), help="Train the first K steps of a phase again.")
@click.option("--phase", help="Fetch and replay this phase alone; without it all, and the phase that the address is of.")
@click.option("--band", type=FILE, help="What CLOSE is judged by on another class of machine; yulan replay --calibrate makes it.")
@click.option("--key", type=FILE, help="The publisher's public key, or keys.json: demand its signature.")
@click.option("--sign", type=FILE, help="Your own private key: sign the report; make one with: yulan key new FILE.")
@click.option("--unsigned", is_flag=True, help="Leave the report unsigned.")
@click.option("--force", is_flag=True, help="Do it although a revision was withdrawn.")
@click.option("--token-file", type=FILE, help="Holds a token, for private ones.")
def reproduce(
    address: str,
    endpoint: str | None,
    into: Path,
    rebuild: bool,
    replay: int | None,
    phase: str | None,
    band: Path | None,
    key: Path | None,
    sign: Path | None,
    unsigned: bool,
    force: bool,
    token_file: Path | None,
) -> None:
    """Fetch a release, verify it, compare this environment with its lock, and train or build it again in a clone of its own.

    Writes reproduction.json and, signed, reproduction.dsse.json into the clone: what is equal, close, different, not checked.
    """
    if (sign is None) != unsigned:
        raise click.UsageError("Say who signs the report, --sign FILE, or that nobody does, --unsigned.")
    from yulan.release.names import parse

    parsed = parse(address)
    from yulan import files
    from yulan.layout import find_root
    from yulan.release.dsse import write_signed
    from yulan.release.hub import Hub, token_for
    from yulan.release.reproduce.report import report_json, statement, summary, table
    from yulan.release.reproduce.run import Asked
    from yulan.release.reproduce.run import reproduce as run
    from yulan.release.trust import load_private, load_trust

    trust = load_trust(key) if key else None
    if sign:
        # Hours pass before it is needed.
        load_private(sign)
    hub = Hub(endpoint, token_for(token_file.read_text().strip() if token_file else None))
    asked = Asked(phase=phase, replay=replay, band=band, rebuild=rebuild)

    def say(line: str) -> None:
        click.echo(line, err=True)

    made = run(hub, parsed, find_root(), into, asked, say, trust=trust, force=force)
    files.write_json(into / "reproduction.json", report_json(made))
    click.echo("\n".join(table(made.parts)))
    by = f", signed by {write_signed(into / 'reproduction.dsse.json', statement(made), sign)[:16]}" if sign else ""
    click.echo(f"{made.result}: {summary(made)}; {into / 'reproduction.json'}{by}")
    if made.result == "FAILED":
        sys.exit(DIFFERENT)

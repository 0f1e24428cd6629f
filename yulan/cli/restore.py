"""`yulan restore hf://OWNER/NAME@REVISION`."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("address", metavar="hf://OWNER/NAME@REVISION")
@click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one.")
@click.option("--only", metavar="STAGE", multiple=True, help="Outputs of this stage alone, as dvc.lock names it: train@phase-02.")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The publisher's public key, or keys.json: demand its signature on every revision before anything else is fetched.",
)
@click.option("--dry-run", is_flag=True, help="Say what the release holds and what not; change nothing.")
@click.option("--force", is_flag=True, help="Restore it although a revision was withdrawn.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of lines.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds a token, for private ones."
)
def restore(
    address: str,
    endpoint: str | None,
    only: tuple[str, ...],
    key: Path | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
    token_file: Path | None,
) -> None:
    """Put this clone into the state of a release: its commit, its dvc.lock, and every output that it holds whole.

    No branch is moved and nothing that is not committed is touched. Interrupted, the same command goes on where it stopped.
    """
    from yulan.release.names import parse

    parsed = parse(address)
    from yulan.layout import find_root
    from yulan.release.hub import Hub, token_for
    from yulan.release.restore.run import restore as run
    from yulan.release.restore.told import lines, told_json
    from yulan.release.trust import load_trust

    trust = load_trust(key) if key else None
    hub = Hub(endpoint, token_for(token_file.read_text().strip() if token_file else None))

    def say(line: str) -> None:
        click.echo(line, err=True)

    done = run(hub, parsed, find_root(), say, trust=trust, force=force, only=only, dry_run=dry_run)
    click.echo(json.dumps(told_json(done)) if as_json else "\n".join(lines(done)))

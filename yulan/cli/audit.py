"""`yulan audit hf://OWNER/NAME`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from yulan.errors import shown

if TYPE_CHECKING:
    from yulan.release.audit.run import Audited


@click.command()
@click.argument("address", metavar="hf://[datasets/]OWNER/NAME[@REVISION]")
@click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one.")
@click.option("--deep", is_flag=True, help="Read everything: digests, pickles, every text, all numbers against their masters.")
@click.option("--links", is_flag=True, help="Ask the other hosts that the card links to, too.")
@click.option("--mirrors", multiple=True, metavar="URL", help="Another hub that should serve the same; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds a token, for private ones."
)
def audit(
    address: str,
    endpoint: str | None,
    deep: bool,
    links: bool,
    mirrors: tuple[str, ...],
    as_json: bool,
    token_file: Path | None,
) -> None:
    """Look for wrong labels, vanished files, code, secrets and claims without evidence, mostly without downloading.

    Errors give exit code 5.
    """
    from yulan.release.names import any_repo

    repo, revision = any_repo(address)
    from yulan.release.audit.asked import Asked
    from yulan.release.audit.deep import contents
    from yulan.release.audit.elsewhere import follower, inside
    from yulan.release.audit.run import audit as run
    from yulan.release.audit.run import compare, more, states_of
    from yulan.release.audit.survey import look
    from yulan.release.hub import Hub, token_for
    from yulan.schema import plain

    def say(line: str) -> None:
        click.echo(shown(line), err=True)

    hub = Asked(Hub(endpoint, token_for(token_file.read_text().strip() if token_file else None)), say)
    survey = look(hub, repo, revision, deep=deep)
    follow = follower(private=inside(hub.hub.endpoint)) if links else None
    found = run(survey, states_of(hub, repo, deep=deep) if revision is None else None, follow)
    for url in mirrors:
        other = Asked(Hub(url, None), say)
        rows = list(compare(survey, look(other, repo, revision), url))
        found = more(found, rows, other.requests)
    if deep:
        before = hub.requests
        rows = list(contents(survey, say))
        found = more(found, rows, hub.requests - before)
    errors = sum(each.severity == "error" for each in found.findings)
    if as_json:
        # In ASCII: a file's name may hold what drives a terminal.
        click.echo(json.dumps(plain(found), indent=1))
    else:
        table(found)
    sys.exit(5 if errors else 0)


def table(found: "Audited") -> None:
    """One line a finding, then the notes, then a line that sums up."""
    rows = [*found.findings, *found.notes]
    width = max((len(each.where) for each in rows), default=0)
    for each in rows:
        click.echo(shown(f"{each.severity:8} {each.id:18} {each.where:{min(width, 48)}}  {each.what}"))
    errors = sum(each.severity == "error" for each in found.findings)
    told = f"{found.revisions} revisions ({', '.join(found.layouts)}), {found.files} files, {found.bytes:,} bytes"
    click.echo(f"{found.repo}: {told}: {errors} errors, {len(found.findings) - errors} warnings, {found.requests} requests")

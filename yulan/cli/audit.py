"""`yulan audit hf://OWNER/NAME`."""

import json
import sys
from pathlib import Path

import click


@click.command()
@click.argument("address", metavar="hf://[datasets/]OWNER/NAME[@REVISION]")
@click.option("--from", "endpoint", metavar="URL", help="Another hub than the public one.")
@click.option("--deep", is_flag=True, help="Download every different file once: digests, pickles, weights that are not finite.")
@click.option("--mirrors", multiple=True, metavar="URL", help="Another hub that should serve the same; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a table.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Holds a token, for private ones."
)
def audit(
    address: str, endpoint: str | None, deep: bool, mirrors: tuple[str, ...], as_json: bool, token_file: Path | None
) -> None:
    """Look for wrong labels, vanished files, code, secrets and claims without evidence, mostly without downloading.

    Errors give exit code 5.
    """
    from yulan.release.names import any_repo

    repo, revision = any_repo(address)
    from yulan.release.audit.deep import contents
    from yulan.release.audit.run import audit as run
    from yulan.release.audit.run import compare, more, states_of
    from yulan.release.audit.survey import look
    from yulan.release.hub import Hub, token_for
    from yulan.schema import plain

    hub = Hub(endpoint, token_for(token_file.read_text().strip() if token_file else None))
    survey = look(hub, repo, revision)
    found = run(survey, states_of(hub, repo) if revision is None else None)
    for url in mirrors:
        found = more(found, compare(survey, look(Hub(url, None), repo, revision), url))
    if deep:
        found = more(found, contents(survey, lambda line: click.echo(line, err=True)))
    errors = sum(each.severity == "error" for each in found.findings)
    if as_json:
        click.echo(json.dumps(plain(found), indent=1, ensure_ascii=False))
    else:
        width = max((len(each.where) for each in found.findings), default=0)
        for each in found.findings:
            click.echo(f"{each.severity:8} {each.id:18} {each.where:{min(width, 48)}}  {each.what}")
        kinds = ", ".join(found.layouts)
        click.echo(
            f"{found.repo}: {found.revisions} revisions ({kinds}), {found.files} files, {found.bytes:,} bytes: {errors} errors"
        )
    sys.exit(5 if errors else 0)

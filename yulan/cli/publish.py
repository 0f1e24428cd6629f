"""`yulan publish`."""

import json
from pathlib import Path

import click


@click.command()
@click.option("--to", "endpoint", metavar="URL", help="Another hub than the public one, such as a rehearsal hub.")
@click.option("--dry-run", is_flag=True, help="Print the plan as JSON and ask no hub.")
@click.option(
    "--plan", "plan_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan to this file and stop."
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The private key that every revision is signed with; make one with: yulan key new FILE.",
)
@click.option("--unsigned", is_flag=True, help="Publish without a signature.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Holds the token. Without it: HF_TOKEN, else your own login.",
)
def publish(
    endpoint: str | None, dry_run: bool, plan_file: Path | None, key: Path | None, unsigned: bool, token_file: Path | None
) -> None:
    """Publish the bundle that the gate passed: data, states, then the model, whose tag comes last.

    Interrupted, the same command finishes it and sends no byte twice.
    """
    if not (dry_run or plan_file) and (key is None) != unsigned:
        raise click.UsageError("Say who signs it, --key FILE, or that nobody does, --unsigned.")
    from yulan import files
    from yulan.params import layout_here
    from yulan.release.ready import require_built, require_committed, require_judged

    layout = layout_here()
    commit = require_committed(layout.root)
    ready = require_judged(layout)
    if dry_run or plan_file:
        from yulan.release.publish import plan

        if plan_file:
            files.write_json(plan_file, plan(ready))
        else:
            click.echo(json.dumps(plan(ready), indent=1))
        return
    require_built(layout.root)
    from yulan.release.hub import Hub, token_for
    from yulan.release.publish import publish as run

    token = token_for(token_file.read_text().strip() if token_file else None)
    record = run(ready, layout, Hub(endpoint, token), commit, lambda line: click.echo(line, err=True), key)
    if record is None:
        click.echo(f"{ready.release.name}: already published as it is here")
    else:
        click.echo(f"{ready.release.name}: published; record {record.relative_to(layout.root)}")

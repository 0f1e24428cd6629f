"""`yulan publish`."""

import json
from pathlib import Path

import click

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--to", "endpoint", metavar="URL", help="Another hub than the public one, such as a rehearsal hub.")
@click.option("--all-checkpoints", "every", is_flag=True, help="Every checkpoint of the bundle, not the tagged ones alone.")
@click.option("--checkpoint", "checkpoints", metavar="REVISION", multiple=True, help="This checkpoint too; again for more.")
@click.option("--dry-run", is_flag=True, help="Print the plan as JSON and ask no hub.")
@click.option("--plan", "plan_file", type=click.Path(dir_okay=False, path_type=Path), help="Ask the hub, write the plan, stop.")
@click.option("--apply", "agreed", type=FILE, help="Do what this plan says, or nothing if the bundle or the hub changed.")
@click.option("--key", type=FILE, help="The private key that every revision is signed with; make one with: yulan key new FILE.")
@click.option("--unsigned", is_flag=True, help="Publish without a signature.")
@click.option("--private", is_flag=True, help="Make repositories that are not there private.")
@click.option("--quota", type=click.IntRange(min=1), metavar="BYTES", help="What the account may keep: 5 TB, private 100 GB.")
@click.option("--collection", metavar="SLUG", help="Put the three repositories into this collection in the end.")
@click.option("--token-file", type=FILE, help="Holds the token. Without it: HF_TOKEN, else your own login.")
def publish(
    endpoint: str | None,
    every: bool,
    checkpoints: tuple[str, ...],
    dry_run: bool,
    plan_file: Path | None,
    agreed: Path | None,
    key: Path | None,
    unsigned: bool,
    private: bool,
    quota: int | None,
    collection: str | None,
    token_file: Path | None,
) -> None:
    """Publish the bundle that the gate passed: data, states, then the model, whose tag comes last.

    Interrupted, the same command finishes it and sends no byte twice.
    """
    if not (dry_run or plan_file) and (key is None) != unsigned:
        raise click.UsageError("Say who signs it, --key FILE, or that nobody does, --unsigned.")
    if agreed and (dry_run or plan_file or every or checkpoints or private or quota):
        raise click.UsageError("A plan that is applied says all but --to, the key and the collection.")
    from yulan.params import layout_here
    from yulan.release.ready import require_built, require_committed, require_judged

    layout = layout_here()
    commit = require_committed(layout.root)
    ready = require_judged(layout)
    from yulan.release.hub import Hub, token_for
    from yulan.release.plan import read_plan, write_plan
    from yulan.release.publish import How, prepare
    from yulan.release.publish import publish as run
    from yulan.schema import plain

    how = How(
        key=key,
        every=every,
        checkpoints=checkpoints,
        private=private,
        quota=quota,
        collection=collection,
        agreed=read_plan(agreed) if agreed else None,
    )
    if dry_run:
        click.echo(json.dumps(plain(prepare(ready, layout, commit, how, None).plan), indent=1))
        return
    hub = Hub(endpoint, token_for(token_file.read_text().strip() if token_file else None))
    if plan_file:
        plan = prepare(ready, layout, commit, how, hub).plan
        write_plan(plan_file, plan)
        new = sum(target.new or 0 for target in plan.repos)
        click.echo(f"{plan_file}: {new:,} of {plan.bytes:,} bytes are new there; the account may keep {plan.quota:,}")
        return
    require_built(layout.root)
    record = run(ready, layout, hub, commit, lambda line: click.echo(line, err=True), how)
    if record is None:
        click.echo(f"{ready.release.name}: already published as it is here")
    else:
        click.echo(f"{ready.release.name}: published; record {record.relative_to(layout.root)}")

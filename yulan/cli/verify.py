"""`yulan verify FOLDER`."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The publisher's public key, or keys.json: check the signatures too.",
)
@click.option("--cache", is_flag=True, help="Check the clone's DVC cache instead, as before a push.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a sentence.")
def verify(folder: Path | None, key: Path | None, cache: bool, as_json: bool) -> None:
    """Check every byte in FOLDER against its manifest: pulled, downloaded by any client, or an artifact of a clone.

    A file is a signed report of `yulan reproduce`; its signature is checked, and what it says is printed.
    """
    if cache == (folder is not None):
        raise click.UsageError("Give a FOLDER, or --cache.")
    if folder is None:
        _verify_cache(as_json)
        return
    if folder.is_file():
        _verify_report(folder, key, as_json)
        return
    from yulan.release.trust import load_trust
    from yulan.release.verify import verify_folder, verify_signature

    trust = load_trust(key) if key else None
    found = verify_folder(folder)
    signed = verify_signature(folder, found, trust) if trust else None
    if as_json:
        signer = {"subject": signed.subject, "key": signed.fingerprint} if signed else None
        click.echo(json.dumps({"folder": str(folder), "files": found.files, "digest": found.digest, "signed": signer}))
    else:
        click.echo(f"{folder}: {found.files} files, all match" + (f"; signed as {signed.subject}" if signed else ""))


def _verify_cache(as_json: bool) -> None:
    from yulan.layout import find_root
    from yulan.release.restore.cache import cache_of, require_sound

    found = cache_of(find_root())
    count = require_sound(found)
    click.echo(json.dumps({"cache": count}) if as_json else f"{found.folder}: {count} objects, all have the bytes of their names")


def _verify_report(path: Path, key: Path | None, as_json: bool) -> None:
    if key is None:
        raise click.UsageError("A signed report needs --key.")
    from yulan.release.dsse import read_signed
    from yulan.release.reproduce.report import read_report, summary, table
    from yulan.release.trust import load_trust

    told, signer = read_signed(path, load_trust(key))
    made = read_report(told, path)
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo("\n".join([*table(made.parts), f"{made.result}: {made.release}: {summary(made)}; signed by {signer[:16]}"]))

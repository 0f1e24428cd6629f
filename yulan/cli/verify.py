"""`yulan verify FOLDER`."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of a sentence.")
def verify(folder: Path, as_json: bool) -> None:
    """Check every byte in FOLDER against its manifest: pulled, downloaded by any client, or an artifact of a clone."""
    from yulan.release.verify import verify_folder

    found = verify_folder(folder)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), "files": found.files, "digest": found.digest}))
    else:
        click.echo(f"{folder}: {found.files} files, all match")

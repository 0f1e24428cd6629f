"""`yulan hub serve`."""

from pathlib import Path

import click


@click.group()
def hub() -> None:
    """A local hub that stock Hugging Face clients take for the real one."""


@hub.command()
@click.option("--root", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder that keeps everything.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option("--host", default="127.0.0.1", help="Who may connect: this machine alone, unless told.")
def serve(root: Path, port: int, host: str) -> None:
    """Serve until stopped. Clients use it with HF_ENDPOINT set to the printed address and HF_TOKEN to ROOT/token."""
    from yulan.rehearsal.serve import serve as run

    run(root, port, host)

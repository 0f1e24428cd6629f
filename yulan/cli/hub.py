"""`yulan hub serve`."""

from pathlib import Path

import click


@click.group()
def hub() -> None:
    """A local hub that stock Hugging Face clients take for the real one."""


@hub.command()
@click.option("--root", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder that keeps everything.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option("--host", default="127.0.0.1", help="Where to listen: this machine alone, unless told.")
@click.option("--exposed", is_flag=True, help="Allow a --host that other machines reach.")
@click.option("--silence", default=60.0, type=click.FloatRange(min=0.1), help="Seconds until a slow client is dropped.")
@click.option("--api-calls", type=click.IntRange(min=1), help="Most API calls of a token in five minutes, else 429.")
@click.option("--downloads", type=click.IntRange(min=1), help="The same for files.")
def serve(root: Path, port: int, host: str, exposed: bool, silence: float, api_calls: int | None, downloads: int | None) -> None:
    """Serve until stopped. Clients use it with HF_ENDPOINT set to the printed address and HF_TOKEN to ROOT/token."""
    from yulan.rehearsal.limits import Limits
    from yulan.rehearsal.serve import serve as run

    run(root, port, host, exposed=exposed, limits=Limits(silence=silence, api=api_calls, resolvers=downloads))

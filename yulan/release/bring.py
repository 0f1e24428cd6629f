"""One file from a hub: gone on with where an earlier try stopped, and its name given only to the bytes that were listed."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from yulan import digest, files
from yulan.errors import HubError
from yulan.release.hub import Hub, Remote
from yulan.release.names import Repo


def bring(hub: Hub, repo: Repo, commit: str, name: str, remote: Remote, path: Path) -> int:
    """Put a file at `path`, which is replaced if it is there; returns the bytes that came over the wire.

    Raises: HubError: fewer bytes than listed, which are kept for the next try, or others, which are thrown away.
    """
    files.remove(path)
    with files.open_rest(path) as out:
        start = out.tell()
        got = digest.of_parts(_blocks(hub, repo, commit, name, remote.size, out))
        if out.tell() < remote.size:
            raise HubError(
                "the hub ended in the middle of a file",
                where=f"{repo}/{name}",
                cure="Run the same command again; it goes on there",
            )
        whole = got == remote.sha256 if remote.sha256 else digest.git_blob(_all(out)) == remote.blob
        if not whole:
            files.remove(Path(out.name))
            cure = "Run the same command again; if it stays so, do not use this hub"
            raise HubError("the hub sent other bytes than it listed", where=f"{repo}/{name}", cure=cure)
    return remote.size - start


def _all(out: IO[bytes]) -> bytes:
    out.seek(0)
    return out.read()


def _blocks(hub: Hub, repo: Repo, commit: str, name: str, size: int, out: IO[bytes]) -> Iterator[bytes]:
    """What an earlier try left, then the rest as it comes; never more than was listed."""
    start = out.tell()
    out.seek(0)
    while block := out.read(digest.BLOCK):
        yield block
    if start >= size:
        return
    for block in hub.read(repo, commit, name, start):
        start += len(block)
        if start > size:
            return
        out.write(block)
        yield block

"""Files that lie elsewhere than in a package registry: in a data set on the Hub, or in a bucket. Each is pinned.

Daft reads them, a block at a time. `HF_ENDPOINT` and `HF_TOKEN` are honoured, and what the AWS tools read: `AWS_ENDPOINT_URL`,
`AWS_REGION`, keys; without keys a bucket is asked as a stranger.
"""

import os
import re
import sys
from pathlib import Path
from urllib.parse import quote

from yulan import digest, files
from yulan.data import frames
from yulan.errors import DataError, IntegrityError
from yulan.manifest import File
from yulan.recipe.sources import Folder

HUB = "https://huggingface.co"
BLOCK = 8 << 20
_DATASET = re.compile(r"hf://datasets/(?P<repo>[^@]+)@(?P<revision>[0-9a-f]{40})")


def fetch_file(name: str, folder: Folder, file: File, downloads: Path) -> Path:
    """A pinned file, from `downloads` if it is there whole, else from where its folder lies.

    Raises: DataError: it cannot be read there; IntegrityError: other bytes are there now.
    """
    cached = downloads / file.sha256
    if cached.is_file() and cached.stat().st_size == file.size and digest.of_file(cached) == file.sha256:
        return cached
    files.require_space(downloads, file.size)
    sys.stderr.write(f"fetching {file.path} of {name} ({file.size / 1e6:.1f} MB)\n")
    where, size, state = f"sources.yaml: $.folders.{name}", 0, digest.running()
    try:
        with frames.open_remote(address_of(folder, file.path), _settings()) as source, files.open_new(cached) as out:
            # One byte more shows that there are more, however many.
            while size <= file.size and (block := source.read(min(BLOCK, file.size + 1 - size))):
                state.update(block)
                out.write(block)
                size += len(block)
            _require_pinned(where, file, size, state.hexdigest())
    except frames.unreachable() as error:
        raise DataError(
            f"{file.path} cannot be read from {folder.address}",
            where=where,
            cure="Check the network, the address and the credentials, then run the same command again",
            evidence=str(error).splitlines()[:4],
        ) from None
    return cached


def _require_pinned(where: str, file: File, size: int, sha256: str) -> None:
    if (size, sha256) != (file.size, file.sha256):
        raise IntegrityError(
            f"{file.path} has moved: it is not the pinned file",
            where=where,
            cure="Do not use it; if the change is known and wanted, pin the new file",
            evidence=[
                f"pinned  {file.size} bytes  {file.sha256}",
                f"there   {f'{size} bytes  {sha256}' if size <= file.size else f'more than {file.size} bytes'}",
            ],
        )


def address_of(folder: Folder, path: str) -> str:
    """Where one file is read. A revision is a commit, so what stands behind it cannot change."""
    found = _DATASET.fullmatch(folder.address)
    if found is None:
        return f"{folder.address.rstrip('/')}/{path}"
    hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    return f"{hub}/datasets/{found['repo']}/resolve/{found['revision']}/{quote(path)}"


def _settings() -> frames.Access:
    keys = os.environ.get("AWS_ACCESS_KEY_ID")
    return frames.Access(
        token=os.environ.get("HF_TOKEN") or None, endpoint=os.environ.get("AWS_ENDPOINT_URL") or None, anonymous=not keys
    )

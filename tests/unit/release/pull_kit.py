"""A release of two shards on a hub, and the ways to ask for it."""

import subprocess
import sys
from pathlib import Path

from huggingface_hub import HfApi

from yulan.rehearsal import Hub as Served
from yulan.release.hub import Hub
from yulan.release.locations import NOWHERE, Locations
from yulan.release.names import parse
from yulan.release.pull import Pulled, pull

NAME = "some/release"
SIZE = 3 << 20
WEIGHTS = "model-00001-of-00002.safetensors"
BASE = f"/{NAME}/resolve/main/"
"""Where a hub has the files."""


def put(served: Served, folder: Path) -> None:
    api = HfApi(endpoint=served.url, token=served.token)
    api.create_repo(NAME, exist_ok=True)
    api.upload_folder(repo_id=NAME, folder_path=folder)


def fetch(url: str, into: Path, *, locations: Locations = NOWHERE, say=lambda _: None, token: str | None = None) -> Pulled:
    return pull(Hub(url, token), parse(f"hf://{NAME}"), into, None, say, locations=locations)


def typed(url: str, into: Path, *words: str) -> subprocess.Popen[bytes]:
    """A process of its own, to be killed."""
    command = [sys.executable, "-m", "yulan.cli", "pull", f"hf://{NAME}", "--from", url, "--into", str(into), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

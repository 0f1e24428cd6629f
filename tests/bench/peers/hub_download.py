"""The hub client's own download of a revision into a folder: bytes are compared by size alone, nothing is made durable."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.utils import disable_progress_bars


def download(endpoint: str, repo: str, into: Path) -> None:
    disable_progress_bars()
    snapshot_download(repo, revision="main", local_dir=into, endpoint=endpoint, token=False)

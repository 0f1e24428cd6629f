"""The stock client's own upload: each folder below `FOLDER/PART` to the branch of its name, then the tags. Prints seconds.

`python upload.py URL TOKEN FOLDER`, where `FOLDER/release.json` says what becomes which branch.
"""

import json
import sys
import time
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.utils import disable_progress_bars


def main() -> None:
    url, token, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    release = json.loads((folder / "release.json").read_text())
    disable_progress_bars()
    api = HfApi(endpoint=url, token=token)
    began = time.perf_counter()
    for part in ("data", "states", "model"):
        name = release["name"] if part == "model" else f"{release['name']}-{part}"
        kind = "dataset" if part == "data" else "model"
        api.create_repo(name, repo_type=kind)
        for branch in sorted(release[part]["revisions"], key=lambda name: (name == "main", name)):
            if branch != "main":
                api.create_branch(name, branch=branch, repo_type=kind)
            api.upload_folder(folder_path=folder / part / branch, repo_id=name, repo_type=kind, revision=branch)
        for tag, branch in release[part]["tags"].items():
            api.create_tag(name, tag=tag, revision=branch, repo_type=kind)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()

"""The end of `make repro`: publish to a local hub, pull back as a stranger would, verify, print the report's path."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from yulan.layout import Layout, find_root
from yulan.params import read_params
from yulan.recipe import load_recipe


def main() -> None:
    root = find_root()
    layout = Layout(root=root, recipe=read_params(root).recipe)
    repo = load_recipe(root, layout.recipe).recipe.release.repo
    yulan = [sys.executable, "-m", "yulan.cli"]
    hub = subprocess.Popen(
        [*yulan, "hub", "serve", "--root", str(layout.rehearsal), "--port", "0"], stdout=subprocess.PIPE, text=True, cwd=root
    )
    try:
        line = hub.stdout.readline() if hub.stdout else ""
        if not line.startswith("listening on "):
            sys.exit(hub.wait())
        url = line.split()[-1]
        env = os.environ | {"HF_TOKEN": (layout.rehearsal / "token").read_text().strip()}
        key = layout.rehearsal / "key"
        if not key.exists():
            subprocess.run([*yulan, "key", "new", str(key)], check=True)
        subprocess.run([*yulan, "publish", "--to", url, "--all-checkpoints", "--key", str(key)], check=True, env=env, cwd=root)
        public = ["--key", f"{key}.pub"]
        with tempfile.TemporaryDirectory() as elsewhere:
            folder = Path(elsewhere) / "release"
            subprocess.run(
                [*yulan, "pull", f"hf://{repo}@final", "--from", url, "--into", str(folder), *public], check=True, env=env
            )
            subprocess.run([*yulan, "verify", str(folder), *public], check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    finally:
        hub.terminate()
        hub.wait()
    print(layout.stage("report").data / "index.html")


if __name__ == "__main__":
    main()

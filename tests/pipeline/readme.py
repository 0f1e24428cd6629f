"""Run README's blocks as a reader would: `python tests/pipeline/readme.py`, in a clone where `make repro` has ended.

Only what a reader replaces too is replaced: OWNER/NAME, FOLDER, the folder and the port of the local hub. Without --from
the public Hub would be asked, so HF_ENDPOINT names the local one. `make repro` and `make test` are CI's own steps.
"""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from yulan.layout import find_root
from yulan.params import read_params
from yulan.recipe import load_recipe

OWN = {"make repro", "make test", "make ui"}
"""Run by CI itself, or never ending."""


def blocks(page: Path) -> list[list[str]]:
    """The commands of each ```sh block, without comments."""
    found = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    return [[line for row in block.splitlines() if (line := row.split("  #")[0].strip())] for block in found]


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


def main() -> None:
    root = find_root()
    repo = load_recipe(root, read_params(root).recipe).recipe.release.repo
    port, servers, ran = free_port(), [], 0
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = Path(elsewhere)
        told = {"OWNER/NAME": repo, "FOLDER": "states", "/tmp/hub": str(folder / "hub"), "8000": str(port)}
        env = os.environ | {"HF_ENDPOINT": f"http://127.0.0.1:{port}"}

        def start(line: str) -> None:
            servers.append(subprocess.Popen(["/bin/sh", "-c", f"exec {line}"], cwd=root, env=env))
            wait_for(port)

        try:
            # A release to pull before the reader publishes one: what `make repro` left on the rehearsal hub.
            start(f".venv/bin/yulan hub serve --root .rehearsal --port {port}")
            env["HF_TOKEN"] = (root / ".rehearsal" / "token").read_text().strip()
            for line in (line for block in blocks(root / "README.md") for line in block if line not in OWN):
                for word, value in told.items():
                    line = line.replace(word, value)
                print(f"$ {line}", flush=True)
                if line.endswith("&"):
                    servers.pop().terminate()
                    time.sleep(1)
                    start(line.removesuffix("&").strip())
                    # The other hub's token: this one does not know it, and README gives its own where one is needed.
                    env.pop("HF_TOKEN", None)
                else:
                    subprocess.run(["/bin/sh", "-c", line], cwd=root, env=env, check=True)
                ran += 1
                # Another profile is a change that `publish` would refuse.
                subprocess.run(["git", "checkout", "-q", "--", "params.yaml"], cwd=root, check=True)
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    print(f"{ran} commands of README.md ran")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"exit code {error.returncode}: {error.cmd[-1]}")

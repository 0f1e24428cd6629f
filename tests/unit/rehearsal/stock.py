"""Stock clients whose calls are counted: in this process, as the `hf` command, and as a program of its own."""

import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, HfFileSystem

from yulan.rehearsal import Hub


class Counted:
    """Passes every method on, and counts it."""

    def __init__(self, client: Any, calls: Counter[str]) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, name: str) -> Any:
        self._calls[f"{type(self._client).__name__}.{name}"] += 1
        return getattr(self._client, name)


class Session:
    """One release manager at work, with a colleague who only reads, somebody else who is logged in, and somebody who is not."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub, self.folder, self.calls = hub, folder, Counter[str]()
        self.api, self.reader, self.stranger, self.nobody = (
            Counted(HfApi(endpoint=hub.url, token=token), self.calls)
            for token in (hub.token, hub.read_token, hub.stranger_token, False)
        )
        self.files = Counted(HfFileSystem(endpoint=hub.url, token=hub.token, use_listings_cache=False), self.calls)

    def __getitem__(self, name: str) -> Path:
        """A file of the session's own folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def call(self, function: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Call a function of a client's library, and count it."""
        self.calls[function.__qualname__] += 1
        return function(*args, **more)

    def page_of(self, repo: str, action: str, token: str | None) -> None:
        """Press a button on a repository's page, as a browser does; no client has a call for it."""
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{self.hub.url}/{repo}/{action}", b"", headers, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    def hf(self, *words: str, xet: bool = False) -> Any:
        """What `hf WORDS --json` prints."""
        self.calls[f"hf {words[0]} {words[1]}" if words[0] in GROUPS else f"hf {words[0]}"] += 1
        return self._run([str(Path(sys.executable).parent / "hf"), *words, "--json"], xet=xet)

    def python(self, program: str) -> dict[str, Any]:
        """Lines `> NAME JSON` that a program prints, one for each call it makes."""
        lines = self._run([sys.executable, "-c", program], xet=True, text=True).splitlines()
        rows = [line[2:].split(" ", 1) for line in lines if line.startswith("> ")]
        self.calls.update(name for name, _ in rows)
        return {name: json.loads(value) for name, value in rows}

    def _run(self, command: list[str], *, xet: bool, text: bool = False) -> Any:
        settings = {
            "HF_ENDPOINT": self.hub.url,
            "HF_TOKEN": self.hub.token,
            "HF_HOME": str(self.folder / "home"),
            "HF_HUB_DISABLE_XET": "0" if xet else "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "TRANSFORMERS_VERBOSITY": "error",
        }
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))} | settings
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout if text or not done.stdout.strip() else json.loads(done.stdout)


GROUPS = {"auth", "repos", "models", "datasets", "collections", "discussions", "cache"}

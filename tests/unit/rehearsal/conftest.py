"""A real hub in a process of its own, and stock clients: in this process, or in one of their own with their own settings."""

import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from yulan.rehearsal import running_hub


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with running_hub(tmp_path_factory.mktemp("hub") / "root") as running:
        yield running


@pytest.fixture
def api(hub):
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub.url, token=hub.token)


@pytest.fixture
def repo(api):
    """A fresh model repo."""
    name = f"tests/repo-{secrets.token_hex(6)}"
    api.create_repo(name)
    return name


@pytest.fixture
def ask():
    """One bare HTTP request; returns status, headers and body, whatever the status."""

    def send(url, method="GET", body=None, **headers):
        request = urllib.request.Request(url, body, {k.replace("_", "-"): v for k, v in headers.items()}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers, answer.read()

    return send


@pytest.fixture
def run_client(hub, tmp_path):
    """Run Python, or a command, as a stranger would: only HF_ENDPOINT and HF_TOKEN point here. Its last line is JSON, or text."""

    def run(code, *, xet=True, command=None, folder=None):
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": hub.token,
            "HF_HOME": str(folder or tmp_path / "client"),
            "HF_HUB_DISABLE_XET": "0" if xet else "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))} | settings
        done = subprocess.run(command or [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        last = done.stdout.strip().rpartition("\n")[2]
        try:
            return json.loads(last)
        except ValueError:
            return done.stdout

    return run

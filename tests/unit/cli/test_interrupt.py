"""Ctrl-C ends a command with a shell's exit code, and without a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.clone import HERE
from yulan.rehearsal import running_hub


def test_an_interrupted_pull_ends_with_130(tmp_path: Path):
    """The hub listens and does not answer: it is stopped."""
    with running_hub(tmp_path / "hub") as served:
        os.kill(served.pid, signal.SIGSTOP)
        try:
            words = [sys.executable, "-m", "yulan.cli", "pull"]
            words += ["hf://a/b@main", "--from", served.url, "--into", str(tmp_path / "c")]
            pull = subprocess.Popen(words, cwd=HERE, stderr=subprocess.PIPE, text=True)
            with pytest.raises(subprocess.TimeoutExpired):
                pull.communicate(timeout=6)
            pull.send_signal(signal.SIGINT)
            _, said = pull.communicate(timeout=30)
        finally:
            os.kill(served.pid, signal.SIGCONT)
    assert pull.returncode == 130, said
    assert "Traceback" not in said

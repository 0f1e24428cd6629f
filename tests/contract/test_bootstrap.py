"""`make setup` on a machine that lacks something: one line with the cure, exit code 6, and nothing made."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASICS = ("dirname", "grep", "cat", "rm", "sh")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with the script, the lock, and `bin` as the only place where programs are found."""
    (tmp_path / "bin").mkdir()
    for name in ("bootstrap", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in BASICS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "")
    return tmp_path


def program(machine: Path, name: str, does: str) -> None:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)


def said(machine: Path) -> str:
    env = {"PATH": str(machine / "bin")}
    done = subprocess.run(
        [shutil.which("sh") or "sh", "bootstrap"], cwd=machine, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 6, done.stderr
    assert not (machine / ".venv").exists()
    (line,) = done.stderr.splitlines()
    return line


def test_git_is_missing(machine: Path):
    assert said(machine).startswith("Error: git was not found. Install git")


def test_python_is_missing(machine: Path):
    program(machine, "git", "exit 0")
    assert said(machine).startswith("Error: python3 was not found. Install Python 3.11 or newer")


def test_python_is_too_old(machine: Path):
    program(machine, "git", "exit 0")
    program(machine, "python3", 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi')
    assert said(machine).startswith("Error: Python 3.9.2 is too old. Install Python 3.11 or newer")


def test_python_cannot_make_environments(machine: Path):
    program(machine, "git", "exit 0")
    program(machine, "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    assert "cannot make environments. Install its venv package" in said(machine)


def test_a_compiler_is_missing(machine: Path):
    program(machine, "git", "exit 0")
    program(machine, "python3", f'exec "{sys.executable}" "$@"')
    assert said(machine).startswith("Error: no C compiler was found. Install one")

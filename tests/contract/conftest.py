"""The repository as its own rules see it: tracked and new files, parsed once."""

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@cache
def listed() -> tuple[str, ...]:
    """Every file that git tracks or would track, but what stages made."""
    told = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(sorted(name for name in set(names) if (ROOT / name).is_file() and not name.startswith("artifacts/")))


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tree() -> dict[str, ast.Module]:
    """Syntax tree of each Python file of the library, the stages and the tests, by path."""
    return {name: parsed(name) for name in listed() if name.endswith(".py")}


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Every text file by path; binary ones are left out."""
    found = {}
    for name in listed():
        try:
            found[name] = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found

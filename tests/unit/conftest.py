"""A copy of the shipped recipe that a test may spoil."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
Spoil = Callable[[str, str, Any], Path]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A root with `recipes/nano` and a dvc.yaml."""
    shutil.copytree(ROOT / "recipes" / "nano", tmp_path / "recipes" / "nano")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


@pytest.fixture
def spoil(copied: Path) -> Spoil:
    """`spoil("recipe.yaml", "model.heads", 3)` sets a key of a file of the copy; `...` as value removes it."""

    def put(file: str, key: str, value: Any) -> Path:
        path = copied / "recipes" / "nano" / file
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))
        *parents, last = key.split(".")
        inner = whole
        for name in parents:
            inner = inner[name]
        if value is ...:
            del inner[last]
        else:
            inner[last] = value
        path.write_text(yaml.safe_dump(whole, allow_unicode=True), encoding="utf-8")
        return path

    return put

"""The clone is made once: tests that spoil it copy it."""

from pathlib import Path

import pytest

from tests.unit.data.index.kit import Clone, make_clone
from yulan.data.index.read import Index


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return make_clone(tmp_path_factory.mktemp("index") / "clone")


@pytest.fixture(scope="session")
def index(clone: Clone) -> Index:
    return Index(clone.layout.stage("index").data)


@pytest.fixture
def spoilt(clone: Clone, tmp_path: Path) -> Path:
    """A copy of the index's artifact folder."""
    import shutil

    return Path(shutil.copytree(clone.layout.stage("index").folder, tmp_path / "index-of-mine"))

"""A clone with a judged bundle, a hub of one's own, and a release on a hub for those who only read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.release.kit import go, judge, make_bundle, start_git
from tests.unit.release.small import make_inputs
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.bundle.build import build


def make_layout(root: Path) -> Layout:
    layout = Layout(root=root, recipe="tiny")
    make_bundle(layout.stage("bundle").data)
    judge(layout)
    start_git(root)
    return layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return make_layout(tmp_path / "clone")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Served]:
    with running_hub(tmp_path / "hub") as served:
        yield served


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Layout, Served]]:
    """What is on this hub is read, not changed."""
    folder = tmp_path_factory.mktemp("published")
    layout = make_layout(folder / "clone")
    with running_hub(folder / "hub") as served:
        go(layout, served)
        yield layout, served


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle of the tiny recipe; read, not changed."""
    folder = tmp_path_factory.mktemp("small")
    build(make_inputs(folder / "clone"), folder / "bundle")
    return folder / "bundle"

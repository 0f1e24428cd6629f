"""A clone with a judged bundle, a hub of one's own, and a release on a hub for those who only read."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.release.kit import fill, go, judge, make_bundle, start_git
from tests.unit.release.pull_kit import SIZE, put
from tests.unit.release.road import Road, road_to
from tests.unit.release.small import make_inputs
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release import bring
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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A hub with one model of two shards and small files, and the folder that was put there; read, not changed."""
    place = tmp_path_factory.mktemp("home")
    folder = place / "model" / "main"
    shards = {f"model-0000{n}-of-00002.safetensors": os.urandom(SIZE) for n in (1, 2)}
    fill(folder, {**shards, "config.json": b"{}\n", "empty.bin": b"", "sub/merges.txt": b"a b\n" * 1000})
    with running_hub(place / "hub") as served:
        put(served, folder)
        yield served, folder


@pytest.fixture
def road(home: tuple[Served, Path]) -> Iterator[Road]:
    """To that hub."""
    with road_to(home[0].url) as made:
        yield made


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three more rounds over the places, with hardly a pause."""
    monkeypatch.setattr(bring, "FIRST", 0.01)
    monkeypatch.setattr(bring, "LONGEST", 0.01)
    monkeypatch.setattr(bring, "PATIENCE", 0.035)

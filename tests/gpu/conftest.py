"""Everything here needs a CUDA device; `make gpu` runs it."""

from pathlib import Path

import pytest
import torch

from tests.unit.train.conftest import World, build_world, small_recipe

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = "no CUDA device is here; `make gpu` on a machine that has one (docs/guides/gpu.md)"
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _as_the_trainer_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As launch/job.py and randomness.py have it in a rank."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A small recipe with real shards and a real pack."""
    return build_world(tmp_path_factory.mktemp("world"), small_recipe())

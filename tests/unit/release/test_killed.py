"""A publisher that is killed: a few of the points that `python -m tests.faults --only publish-kill` goes through."""

from pathlib import Path

import pytest

from tests.unit.release.publisher import prepare, scene


@pytest.mark.parametrize(("at", "when"), [(20, "in"), pytest.param(88, "after", marks=pytest.mark.slow)])
def test_a_killed_publication_leaves_old_or_new_and_is_finished_without_sending_twice(tmp_path: Path, at: int, when: str):
    prepare(tmp_path, again=False)
    with scene(tmp_path) as playing:
        playing.killed(at, when)
        playing.look()
        playing.finish()

"""A save whose log of writes, fsyncs and renames is cut at every point. SIGKILL cannot show this: the page cache survives it."""

from pathlib import Path

import pytest

from tests.faults.power import Cuts
from tests.faults.rows import NotAsStatedError


def test_after_a_power_cut_at_any_point_of_a_save_a_whole_checkpoint_is_found(tmp_path: Path):
    found = Cuts(tmp_path).play()
    assert len(found) > 80
    assert set(found) == {2, 4}
    assert found[-1] == 4


@pytest.mark.parametrize("lost", [3, 9, 10])
def test_the_simulation_notices_an_fsync_that_is_left_out(tmp_path: Path, lost: int):
    """Of the weights, of the names in the new folder, and of the new folder's own name."""
    with pytest.raises(NotAsStatedError):
        Cuts(tmp_path).play(lost)

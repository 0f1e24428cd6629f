"""The study of replay at full size: twenty stretches, each way of cheating in each."""

from pathlib import Path

import pytest

from tests.unit.train import forge
from tests.unit.train.study import ENDS, PUBLISHERS, study

SEEDS = 20


@pytest.mark.large
def test_no_honest_run_alarms_and_no_forged_one_passes_for_exact(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rates = study(tmp_path, SEEDS)
    with capsys.disabled():
        print(rates)
    assert rates["honest"] == {"EXACT": [0, len(PUBLISHERS) * SEEDS], "CLOSE": [0, len(PUBLISHERS) * SEEDS]}
    for control in (*forge.TRAINING, *ENDS):
        assert rates[control]["EXACT"] == [SEEDS, SEEDS], control
    for control in forge.TRAINING:
        assert rates[control]["CLOSE"] == [SEEDS, SEEDS], control

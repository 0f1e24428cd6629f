"""One checkpoint, every layout: states are equal bit for bit."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.train.conftest import ROOT, World
from yulan.train.checkpoint.state import read_state, read_tensors
from yulan.train.launch.job import CHECKPOINTS, JOB
from yulan.train.phase import train_phase

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of four steps under ZeRO-1 on two ranks."""
    folder = tmp_path_factory.mktemp("trained")
    train_phase(world.plan(4), folder)
    job = json.loads((folder / JOB).read_text())
    (folder / JOB).write_text(json.dumps(job | {"start": str(folder / CHECKPOINTS / "step-000004")}))
    return folder


def resave(trained: Path, into: Path, ranks: int, stages: str) -> set[str]:
    """Losses of one micro-batch after loading, of every rank and stage."""
    options = ["--standalone", "--local-addr=127.0.0.1", f"--nproc-per-node={ranks}"]
    script = str(Path(__file__).with_name("resave.py"))
    command = [sys.executable, "-m", "torch.distributed.run", *options, script, str(trained / JOB), str(into), stages]
    own = {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return set(re.findall(r"0x[0-9a-f.]+p[+-]\d+", done.stdout))


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_a_checkpoint_of_zero_1_on_two_ranks_loads_bit_equal_everywhere(trained: Path, tmp_path: Path, ranks: int):
    losses = resave(trained, tmp_path, ranks, "0,1,2,3")
    assert len(losses) == 1, "forward runs on what was loaded"
    begin = trained / CHECKPOINTS / "step-000004"
    for stage in range(4):
        folder = tmp_path / f"zero{stage}-ranks{ranks}"
        assert read_tensors(folder) == read_tensors(begin), folder.name
        assert read_state(folder).cursor == read_state(begin).cursor

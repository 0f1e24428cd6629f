"""No wait for a rank that is stopped is longer than the stated one; `make faults` stops ranks and sees that the run ends."""

import os
import subprocess
import sys

import pytest

from tests.unit.train.conftest import ROOT
from yulan.train.checkpoint.stream import TIMEOUT

PROGRAM = """
import torch
from torch.distributed import distributed_c10d
from tests.unit.train.conftest import profile, small_recipe
from yulan.train.backend import connect
from yulan.train.engine import Engine

connect(profile(1))
recipe = small_recipe()
Engine(recipe, recipe.phase("phase-01"), profile(1))
for group in distributed_c10d._world.pg_map:
    print("waits", group._get_backend(torch.device("cpu")).options._timeout.total_seconds())
"""


@pytest.mark.slow
def test_every_connection_waits_equally_long_those_that_deepspeed_makes_too():
    env = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    env |= {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=os.environ | env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    waits = [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("waits")]
    assert len(waits) > 1
    assert set(waits) == {TIMEOUT.total_seconds()}

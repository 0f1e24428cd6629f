"""What is said where Slurm cannot be used; the rest is tried on a real one by `make slurm`."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.train.conftest import World, profile
from tests.unit.train.test_before import SLURM
from yulan.errors import ResourceError
from yulan.train.launch.slurm import job_name
from yulan.train.phase import train_phase


def test_a_machine_without_slurm_is_told(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    machine = replace(profile(2), launcher="slurm", slurm=SLURM)
    with pytest.raises(ResourceError, match=r"squeue: Slurm's commands are not here\. Run it on a login node"):
        train_phase(world.plan(profile=machine), tmp_path / "run")


def test_a_job_is_named_by_its_run_folder(tmp_path: Path):
    one, other = tmp_path / "one" / ("a" * 64), tmp_path / "other" / ("a" * 64)
    assert job_name(one) == job_name(tmp_path / "one" / "." / ("a" * 64))
    assert job_name(one).startswith("yulan-aaaaaaaaaaaaaaaa-")
    assert job_name(one) != job_name(other)

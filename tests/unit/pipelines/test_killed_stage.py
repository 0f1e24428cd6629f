"""A data stage that is killed does not do finished partitions again, and ends with the bytes of one that was left alone."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.data.corpus_kit import contents
from tests.unit.pipelines.text_clone import ended, make_text_clone, stage, start, wipe
from yulan import files
from yulan.schema import load_json

ROUNDS = 4
"""Kills of one stage before it is left to end."""


def finished(root: Path, name: str) -> dict[str, int]:
    """Inode of each finished partition's manifest."""
    found = {}
    for folder, _, names in os.walk(root / f"runs/tiny/{name}"):
        if "manifest.json" in names:
            with suppress(FileNotFoundError):  # `raw` removes what it read once that is sorted
                found[folder] = (Path(folder) / "manifest.json").stat().st_ino
    return found


def after(root: Path, name: str) -> None:
    """What stands between two stages is their input."""
    if name == "clean":
        place, into = stage(root, "clean").place, stage(root, "dedup")
        files.link_tree(place.data, into.place.data)
        into.seal(summary={})


@pytest.mark.slow
def test_a_killed_stage_goes_on_after_its_finished_partitions(tmp_path: Path):
    clone = tmp_path
    make_text_clone(clone)
    draw = random.Random(20241017)
    for name in ("raw", "clean", "scored", "decontaminated"):
        done, before = ended(start(clone, name))
        assert done >= 12, "enough partitions to kill between them"
        assert before == 0
        undisturbed = contents(clone / f"artifacts/tiny/{name}")
        wipe(clone, name)
        files.remove(clone / f"runs/tiny/{name}")
        kills = 0
        for target in sorted(draw.sample(range(1, done - 1), ROUNDS)):
            process, standing = start(clone, name), finished(clone, name)
            while len(finished(clone, name)) < target and process.poll() is None:
                time.sleep(0.002)
            time.sleep(draw.random() * 0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += process.returncode == -signal.SIGKILL
            now = finished(clone, name)
            assert {path: now[path] for path in standing if path in now} == {p: i for p, i in standing.items() if p in now}
            assert not (clone / f"artifacts/tiny/{name}/manifest.json").exists() or process.returncode == 0
            wipe(clone, name)
        assert kills >= 2, "a stage that ended before it was killed shows nothing"
        standing = finished(clone, name)
        again, found = ended(start(clone, name))
        assert contents(clone / f"artifacts/tiny/{name}") == undisturbed
        if name == "raw":
            assert again < done
        else:
            assert (again + found, found >= len(standing) - 1) == (done, True), name
        now = finished(clone, name)
        assert all(now[path] == inode for path, inode in standing.items() if path in now)
        assert load_json(clone / f"artifacts/tiny/{name}/manifest.json")["stage"] == name
        after(clone, name)

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.stage import Stage, host_class
from yulan import files
from yulan.errors import IntegrityError, StateError
from yulan.layout import Layout
from yulan.params import params_for
from yulan.profile import load_profile
from yulan.recipe import load_recipe
from yulan.schema import check, load_json

ROOT = Path(__file__).parents[3]


def stage(root: Path, name: str, phase: str | None = None) -> Stage:
    book = load_recipe(root, "nano")
    layout, params = Layout(root=root, recipe="nano"), params_for(book.recipe, "cpu-2")
    return Stage(
        name=name, phase=phase, book=book, layout=layout, profile=load_profile("cpu-2"), params=params, started=time.time()
    )


@pytest.fixture
def raw(copied: Path) -> Stage:
    """A sealed `raw`."""
    made = stage(copied, "raw")
    files.write_text(made.place.data / "drops.json", "{}")
    files.write_text(made.place.data / "en" / "a.txt", "words")
    made.seal(keys=("seed",), summary={"documents": 1})
    return made


def test_another_python_is_told_before_it_misses_a_package():
    python = getattr(sys, "_base_executable", sys.executable)
    done = subprocess.run([python, "-m", "pipelines.clean"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 6
    (line,) = done.stderr.splitlines()
    assert "this is not the clone's environment. Run it as: make repro" in line


LATE = """
import atexit, os, sys
from pipelines.stage import leave
class Late:
    def __del__(self, kill=os.kill, own=os.getpid()):
        kill(own, 11)
late = Late()
atexit.register(print, "at exit")
"""


def test_a_stage_ends_with_its_code_whatever_would_crash_in_the_interpreters_end():
    """As Daft's threads do now and then where an error stopped them at work."""
    for end, code in (("leave(4)", 4), ("leave(0)", 0), ("sys.exit(4)", -11)):
        done = subprocess.run([sys.executable, "-c", LATE + end], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, "at exit\n")


def test_a_stage_quotes_what_it_was_made_from(copied: Path, raw: Stage):
    clean = stage(copied, "clean")
    _, opened = clean.open("raw")
    made = clean.seal(summary={})
    assert made.inputs == {"raw": opened.digest}
    assert opened.keys == {"seed": raw.recipe.seed}


def test_the_record_lies_under_the_digest_and_names_no_machine(copied: Path, raw: Stage):
    _, made = stage(copied, "clean").open("raw")
    record = load_json(raw.layout.record(made.digest))
    check(record, "record", "record")
    assert record["content"] == made.digest
    assert record["host"] == host_class()
    text = json.dumps(record)
    assert str(copied) not in text


def test_an_absent_artifact_is_named_with_the_command_that_fetches_it(copied: Path):
    with pytest.raises(StateError, match=r"train/phase-01: is not there\. Fetch it with: dvc pull train@phase-01, or build it"):
        stage(copied, "mix", "phase-02").open("train", "phase-01")


def test_a_tampered_artifact_is_not_worked_on(copied: Path, raw: Stage):
    (raw.place.data / "en" / "a.txt").write_text("w0rds")
    clean = stage(copied, "clean")
    with pytest.raises(IntegrityError, match="does not match its manifest"):
        clean.open("raw")
    assert clean.open("raw", only=["drops.json"])[0] == raw.place
    with pytest.raises(IntegrityError, match=r"en/a\.txt does not match its manifest"):
        clean.open("raw", only=["drops.json", "en/a.txt"])

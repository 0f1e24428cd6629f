"""The chain both ways, on the manifests and records of the committed nano build; what does not hold is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.unit.release.kit import FINAL, NAME, STABLE, go
from yulan import digest, files, manifest
from yulan.cli import main
from yulan.errors import StateError
from yulan.layout import MANIFEST, Layout
from yulan.rehearsal import Hub as Served
from yulan.release.hub import Hub
from yulan.release.lineage.clone import of_clone
from yulan.release.lineage.find import find
from yulan.release.lineage.graph import Graph, Node
from yulan.release.lineage.pulled import of_pulled
from yulan.release.lineage.statement import STATEMENT
from yulan.release.lineage.told import as_object, as_tree
from yulan.release.names import parse
from yulan.release.pull import pull
from yulan.schema import check

HERE = Path(__file__).parents[3]


@pytest.fixture
def nano(tmp_path: Path) -> Layout:
    """A clone as git has it: manifests, records, dvc.lock and recipe, no data."""
    root = tmp_path / "clone"
    for name in ("dvc.yaml", "params.yaml"):
        files.copy(HERE / name, root / name)
    shutil.copytree(HERE / "recipes" / "nano", root / "recipes" / "nano")
    lock = yaml.safe_load((HERE / "dvc.lock").read_text())
    for stage in lock["stages"].values():
        for dep in stage.get("deps", []):
            # Who works on the recipe has not built it yet.
            if dep["path"].startswith("recipes/") and (root / dep["path"]).is_file():
                dep["md5"] = digest.md5_of_file(root / dep["path"])
    files.write_text(root / "dvc.lock", yaml.safe_dump(lock))
    for path in (HERE / "artifacts" / "nano").rglob("*.json"):
        parts = path.relative_to(HERE).parts
        if "data" not in parts and "publications" not in parts:
            files.copy(path, root.joinpath(*parts))
    return Layout(root=root, recipe="nano")


def names(graph: Graph, start: str, *, down: bool) -> set[str]:
    return {node.key for _, node, _ in graph.walk(start, down=down)}


def test_a_checkpoint_leads_to_raw_sources_and_on_to_the_release(nano: Layout):
    graph = of_clone(nano)
    assert graph.broken == []
    assert graph.unexplained == []
    up = names(graph, "artifact:train@phase-02", down=False)
    assert {"artifact:train@phase-01", "artifact:raw", "mix:phase-02", "lock:dvc.lock"} <= up
    assert "package:sympy-1.14.0-py3-none-any.whl" in up
    assert any(key.startswith("commit:") for key in up)
    assert any(key.startswith("run:") for key in up)
    assert "artifact:train@phase-03" not in up
    down = names(graph, "package:sympy-1.14.0-py3-none-any.whl", down=True)
    assert {"artifact:train@phase-03", "artifact:bundle", "artifact:gate"} <= down


def test_every_way_to_name_a_thing_finds_it(nano: Layout, monkeypatch: pytest.MonkeyPatch):
    graph = of_clone(nano)
    trained = graph.nodes["artifact:train@phase-02"]
    run = next(key for key in trained.origins if key.startswith("run:"))
    mix = nano.recipe_folder / "mixes" / "phase-02.yaml"
    for word, key in {
        "train@phase-02": trained.key,
        trained.digest: trained.key,
        trained.digest[:10]: trained.key,
        str(nano.artifacts / "train" / "phase-02"): trained.key,
        run.removeprefix("run:"): run,
        str(mix): "mix:phase-02",
        graph.nodes["mix:phase-02"].digest: "mix:phase-02",
    }.items():
        assert key in [node.key for node in find(graph, nano, word)], word
    inside = manifest.read(nano.stage("tokenizer").manifest).files[0].sha256
    assert "artifact:tokenizer" in [node.key for node in find(graph, nano, inside)]
    with pytest.raises(StateError, match="nothing here is called 'train@phase-20'"):
        find(graph, nano, "train@phase-20")
    stranger = files.write_text(nano.root / "weights.bin", "from somewhere")
    with pytest.raises(StateError, match="has no provenance here"):
        find(graph, nano, str(stranger))
    monkeypatch.chdir(nano.root)
    told = CliRunner().invoke(main, ["lineage", "train@phase-02"])
    assert told.exit_code == 0
    assert "package sympy-1.14.0-py3-none-any.whl" in told.output
    told = CliRunner().invoke(main, ["lineage", "train@phase-02", "--json"])
    check(json.loads(told.stdout), "lineage", "stdout")


def edit(path: Path, change: Callable[[dict], None]) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    files.write_json(path, raw)


def other_input(nano: Layout) -> str:
    edit(nano.stage("train", "phase-02").manifest, lambda raw: raw["inputs"].update({"mix@phase-02": "0" * 64}))
    return "train@phase-02 was made from mix@phase-02 000000000000; here it is"


def no_parent(nano: Layout) -> str:
    files.remove(nano.artifacts / "init")
    return "train@phase-01 was made from init"


def other_mix(nano: Layout) -> str:
    path = nano.recipe_folder / "mixes" / "phase-02.yaml"
    files.write_text(path, path.read_text() + "\n")
    return "dvc.lock made mix@phase-02 from another recipes/nano/mixes/phase-02.yaml"


def other_manifest(nano: Layout) -> str:
    edit(nano.stage("tokenizer").manifest, lambda raw: raw["summary"].update(forged=1))
    return "dvc.lock names another tokenizer than"


def cut_chain(nano: Layout) -> str:
    row = {"format": 1, "previous": "1" * 64, "bundle": "2" * 64, "verdict": "3" * 64, "commit": "4" * 40, "lock": "5" * 64}
    row |= {"hub": "rehearsal", "time": "2026-11-25T00:00:00+00:00", "repos": []}
    files.write_json(nano.artifacts / "publications" / "0001.json", row)
    return "does not name the record before it"


@pytest.mark.parametrize("harm", [other_input, no_parent, other_mix, other_manifest, cut_chain])
def test_a_broken_link_is_named(nano: Layout, harm: Callable[[Layout], str], monkeypatch: pytest.MonkeyPatch):
    words = harm(nano)
    graph = of_clone(nano)
    assert any(words in row for row in graph.broken), graph.broken
    monkeypatch.chdir(nano.root)
    done = CliRunner().invoke(main, ["lineage", "bundle"])
    assert done.exit_code == 5
    assert f"broken: {next(row for row in graph.broken if words in row)}" in done.output


def test_what_has_no_provenance_is_listed(nano: Layout):
    gone = nano.record(manifest.read(nano.stage("clean").manifest).digest)
    files.remove(gone)
    files.write_text(nano.artifacts / "found-on-a-disk" / "weights.bin", "x")
    files.write_text(nano.artifacts / "clean" / "notes.txt", "x")
    lock = (nano.root / "dvc.lock").read_text().replace("artifacts/nano/raw/manifest.json", "artifacts/nano/raw/other.json")
    files.write_text(nano.root / "dvc.lock", lock)
    rows = "\n".join(of_clone(nano).unexplained)
    for words in (
        "has no record: who made it",
        "found-on-a-disk has no manifest.json",
        "clean/notes.txt is in no manifest",
        "raw is not in dvc.lock",
    ):
        assert words in rows


def test_a_revision_on_a_hub_is_found_by_its_publication_and_a_pulled_folder_tells_its_own(
    layout: Layout, hub: Served, tmp_path: Path
):
    go(layout, hub)
    graph = of_clone(layout)
    for word, key in {
        f"hf://{NAME}@final": "revision:model/main",
        f"hf://{NAME}-states@{STABLE}": f"revision:states/{STABLE}",
        f"hf://{NAME}-data@main": "revision:data/main",
    }.items():
        assert key in [node.key for node in find(graph, layout, word)]
    assert "publication:0001 on rehearsal" in names(graph, f"revision:states/{STABLE}", down=True)
    with pytest.raises(StateError, match="no publication record of this clone names it"):
        find(graph, layout, "hf://some/body@main")
    pull(Hub(hub.url, None), parse(f"hf://{NAME}@{FINAL}"), tmp_path / "model", None, print)
    graph, key = of_pulled(tmp_path / "model")
    assert names(graph, key, down=False) == {"revision:data/main", f"revision:states/{FINAL}"}
    pull(Hub(hub.url, None), parse(f"hf://{NAME}-states@main"), tmp_path / "states", None, print)
    told = json.loads((tmp_path / "states" / "records" / STATEMENT).read_text())
    assert told["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {row["name"]: row["digest"]["sha256"] for row in told["subject"]}
    assert subjects[f"model/{FINAL}"] == manifest.read(tmp_path / "model" / MANIFEST).digest
    assert {"name": "git", "digest": {"gitCommit": "0" * 40}} in told["predicate"]["buildDefinition"]["resolvedDependencies"]


def test_the_states_of_a_pulled_release_lead_to_the_sources(small: Path):
    graph, key = of_pulled(small / "states" / "main")
    assert graph.nodes[key].kind == "revision"
    tree = list(as_tree(graph, [graph.nodes[key]]))
    assert any("states/phase-" in line for line in tree)
    assert as_object(graph, "x", [graph.nodes[key]]).broken == ()


def test_a_thing_that_is_used_twice_is_told_once():
    graph = Graph()
    one = graph.add("artifact", "a", "1")
    two, three = graph.add("artifact", "b", "2", (one,)), graph.add("artifact", "c", "3", (one,))
    graph.add("artifact", "d", "4", (two, three))
    rows = [(depth, node.name, again) for depth, node, again in graph.walk("artifact:d", down=False)]
    assert rows == [(0, "b", False), (1, "a", False), (0, "c", False), (1, "a", True)]
    graph.add("artifact", "a", "9")
    assert graph.broken == ["artifact:a is 1 here and 9 there"]
    assert graph.by_digest("1") == [Node(kind="artifact", name="a", digest="1", origins=())]

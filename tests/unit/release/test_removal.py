"""A document that was removed on request: named wherever it is, gone from what is built next, and its copies with it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.unit.release.kit import NAME, go, start_git
from tests.unit.release.removal_kit import CANARY, COPY, FAMILY, LEAD, LEAKED, NEAR, RED, SHORT, TEXT, Build, holding, make_build
from yulan import digest, files, manifest
from yulan.cli import main
from yulan.data.documents import read_documents, source_names
from yulan.errors import DataError, StateError
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.hub import Hub
from yulan.release.names import Address, repo
from yulan.release.publication import chain
from yulan.release.pull import pull
from yulan.release.removal import plan
from yulan.train.track import Attempt, Store

pytestmark = pytest.mark.slow

ID, TWIN, CLOSE = (digest.of_text(text) for text in (TEXT, COPY, NEAR))
DAY = "2026-11-25"
STAGES = ("sources", "raw", "clean", "synthesize", "dedup", "scored", "decontaminated", "tokenizer", "shards", "index", "bundle")
DATA = repo(NAME, "data")


def dvc(root: Path, *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def say(*words: str) -> Result:
    return CliRunner().invoke(main, ["data", *words])


@dataclass(frozen=True, kw_only=True)
class Told:
    """A clone in which three documents were removed, built and published before and after."""

    build: Build
    served: Served
    before: set[str]
    """Files that held one of them."""
    plans: dict[str, dict]
    """By document, as the command printed them."""
    early: str
    """What `seen` said between the request and the build."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    root = tmp_path_factory.mktemp("removal") / "clone"
    build = make_build(root)
    build.run()
    attempt = Attempt(recipe=build.book.recipe, phase="phase-01", run="cafe", inputs={"mix@phase-01": "ab" * 32}, commit=None)
    store = Store(build.layout.tracking, "nano")
    store.close(build.book.recipe, store.open(attempt), "FINISHED")
    start_git(root)
    outs = {name: {"cmd": "true", "outs": [f"artifacts/nano/{name}/data"]} for name in STAGES}
    files.write_text(root / "dvc.yaml", yaml.safe_dump({"stages": outs}))
    dvc(root, "init", "-q", "--no-scm")
    dvc(root, "commit", "-q", "-f")
    with running_hub(root.parent / "hub") as served, pytest.MonkeyPatch.context() as patch:
        go(build.layout, served)
        before = {name for words in (CANARY, LEAD, RED) for name in holding(build, build.layout.artifacts, words)}
        patch.chdir(root)
        plans = {}
        for text, reason in ((TEXT, "personal-data"), (LEAKED, "copyright"), (SHORT, "author")):
            done = say("remove", digest.of_text(text), "--reason", reason, "--date", DAY, "--json")
            assert done.exit_code == 0, done.output
            plans[text] = json.loads(done.stdout)
        early = say("seen", ID).stdout
        build.run()
        dvc(root, "commit", "-q", "-f")
        dvc(root, "gc", "-q", "-f", "--workspace")
        go(build.layout, served)
        yield Told(build=build, served=served, before=before, plans=plans, early=early)


def test_every_file_that_holds_it_is_named(told: Told):
    named = {(each["artifact"], each["file"]): each["kind"] for made in told.plans.values() for each in made["held"]}
    words = {f"{artifact}/data/{file}" for (artifact, file), kind in named.items() if kind != "id"}
    assert told.before <= words
    assert named["clean", "drops.json"] == "text"
    assert named["decontaminated", "matches.parquet"] == "text"
    # A title is looked for, and a row that was made from it may go on into the next token file.
    assert {name.rpartition("/")[2].partition("-")[0] for name in words - told.before} <= {"tokens", "drops.json"}


def test_its_copies_and_what_was_made_from_it_go_with_it(told: Told):
    first, *others = told.plans[TEXT]["documents"]
    assert first == {"id": ID, "date": DAY, "reason": "personal-data", "goes_with": None}
    assert {TWIN, CLOSE} < {each["id"] for each in others}
    assert {each["goes_with"] for each in others} == {ID}
    kept = {
        each
        for stage in ("raw", "synthesize", "decontaminated")
        for name in source_names(told.build.layout.stage(stage).data)
        for ids, _ in read_documents(told.build.layout.stage(stage).data, name)
        for each in ids
    }
    assert not kept & {each["id"] for made in told.plans.values() for each in made["documents"]}
    assert told.build.book.removed.ids == {each["id"] for made in told.plans.values() for each in made["documents"]}


def test_phases_and_steps_that_trained_on_it_are_named(told: Told):
    made = told.plans[TEXT]
    seen = {each["phase"]: each["steps"] for each in made["trained"] if each["document"] == ID}
    assert "phase-01" in seen
    assert all(step >= 1 for steps in seen.values() for step in steps)
    recipe = told.build.book.recipe
    phases = {each["phase"] for each in made["trained"]}
    assert set(made["inherited"]) == {name for name in recipe.phases if name not in phases and phases & set(recipe.path(name))}
    assert told.plans[SHORT]["trained"] == []


def test_no_byte_of_it_is_left_but_in_the_package_that_others_published(told: Told):
    root = told.build.root
    left = {name for words in (CANARY, LEAD, RED) for name in holding(told.build, root, words)}
    (package,) = [name for name in left if name.startswith("artifacts/")]
    assert package.startswith("artifacts/nano/sources/data/")
    (cached,) = left - {package}
    assert files_equal(root / cached, root / package)
    assert (root / ".mlflow" / "mlflow.db").stat().st_size > 0


def files_equal(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def test_the_objects_that_were_named_are_gone_from_the_cache(told: Told):
    cache = told.build.root / ".dvc" / "cache"
    named = [each for made in told.plans.values() for each in made["held"] if each["kind"] != "id"]
    assert all(each["cached"] for each in named)
    there = {each["artifact"] for each in named if (cache / each["cached"]).exists()}
    assert there == {"sources"}


def test_the_drops_say_that_it_was_removed_and_not_what_it_was(told: Told):
    found = json.loads((told.build.layout.stage("raw").data / "drops.json").read_text(encoding="utf-8"))
    reason = found["sources"]["en/wiki"]["reasons"]["removed-on-request"]
    assert reason["count"] == len({TEXT, COPY, NEAR, LEAKED, SHORT})
    assert {sample["text"] for sample in reason["samples"]} == {""}
    assert ID in {sample["id"] for sample in reason["samples"]}


def test_a_new_revision_is_without_it_and_the_old_ones_objects_are_named(told: Told):
    hub = Hub(told.served.url, told.served.token)
    first, second = (record.repos[0].revisions["main"].commit for record in chain(told.build.layout.artifacts / "publications"))
    old, new = hub.tree(DATA, first), hub.tree(DATA, second)
    (published,) = told.plans[TEXT]["published"]
    assert (published["commit"], published["repo"], published["hub"]) == (first, DATA.id, "rehearsal")
    assert {each["file"] for each in published["files"]} == {
        "text/en/wiki/train/00000.parquet",
        f"synthetic/{FAMILY}/00000.parquet",
    }
    for each in published["files"]:
        assert old[each["file"]].sha256 == each["sha256"]
        assert each["sha256"] not in {file.sha256 for file in new.values()}


def test_the_index_answers_removed_on_request_in_the_clone_and_in_the_new_revision(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(told.build.root)
    assert f"removed on request on {DAY}; this build is of before" in told.early
    pull(Hub(told.served.url, None), Address(name=NAME, part="data", revision="main"), tmp_path / "pulled", None, lambda _: None)
    for where in ((), ("--in", str(tmp_path / "pulled"))):
        done = say("seen", ID, *where)
        assert "is not in the published index" in done.stdout
        assert f"  removed on request on {DAY}\n" in done.stdout
        assert f"removed on request on {DAY}, with document {ID}" in say("seen", COPY, *where).stdout
    assert json.loads(say("seen", TEXT, "--json").stdout)["lost"][0] == f"removed on request on {DAY}"


def test_the_record_holds_what_was_printed_and_a_plan_writes_nothing(told: Told, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(told.build.root)
    record = told.build.layout.removals / f"{DAY}-{ID[:16]}.json"
    assert json.loads(record.read_text(encoding="utf-8")) == told.plans[TEXT]
    other, *_ = next(read_documents(told.build.layout.stage("raw").data, "en/wiki"))[0]
    before = (told.build.layout.recipe_folder / "removed.yaml").read_bytes()
    done = say("remove", other, "--reason", "court", "--plan")
    assert done.exit_code == 0
    assert f"document {other} of nano, court" in done.stdout
    assert "as its publisher has it: ask there" in done.stdout
    assert "of another build: pull that commit" in done.stdout
    assert "dvc gc --workspace" in done.stdout
    assert (told.build.layout.recipe_folder / "removed.yaml").read_bytes() == before


def test_what_cannot_be_removed_gets_one_line(told: Told, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(told.build.root)
    twice = say("remove", ID, "--reason", "author")
    assert (twice.exit_code, twice.output.count("\n")) == (6, 1)
    assert f"document {ID[:12]} was removed on request on {DAY} already" in twice.output
    stranger = say("remove", "0" * 64, "--reason", "author")
    assert (stranger.exit_code, stranger.output.count("\n")) == (4, 1)
    assert "no stage holds the document 000000000000" in stranger.output
    assert "an id has 64 digits" in say("remove", "xyz", "--reason", "author").output


def test_a_document_of_another_recipe_is_known_as_that_ones(told: Told, tmp_path: Path):
    here, other = (Layout(root=tmp_path, recipe=name) for name in ("nano", "second"))
    for layout in (here, other):
        files.link_tree(told.build.layout.recipe_folder, layout.recipe_folder)
    with pytest.raises(StateError, match="nothing is here to look the document up in"):
        plan(here, told.build.book, "1" * 64, DAY, "author")
    files.link_tree(told.build.layout.stage("raw").data, other.stage("raw").data)
    files.make_folder(here.stage("raw").data)
    identity = next(read_documents(other.stage("raw").data, "en/wiki"))[0][0]
    with pytest.raises(DataError, match="is one of the recipe second"):
        plan(here, told.build.book, identity, DAY, "author")
    assert manifest.read(told.build.layout.stage("raw").manifest).summary["dropped"]["removed-on-request"] == 5

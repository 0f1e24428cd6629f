"""A clone of git alone becomes what a release was made from, as far as the release may hold it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.release.judged import Origin, dvc, make_origin, run
from tests.unit.release.kit import NAME, contents
from yulan import files
from yulan.cli import main
from yulan.errors import HubError, IntegrityError, StateError
from yulan.layout import Layout
from yulan.rehearsal import running_hub
from yulan.release.hub import Hub
from yulan.release.names import Address, Repo, parse
from yulan.release.pull import Offer
from yulan.release.restore import published
from yulan.release.restore import run as restoring
from yulan.release.restore.cache import cache_of, require_sound, to_do
from yulan.release.restore.clone import move, require_movable
from yulan.release.restore.run import restore
from yulan.release.restore.told import Restored
from yulan.release.trust import load_trust, new_key
from yulan.release.withdraw import Editor

pytestmark = pytest.mark.slow
PARENT = "train@phase-02"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    folder = tmp_path_factory.mktemp("origin")
    new_key(folder / "key")
    with running_hub(folder / "hub") as served:
        yield make_origin(folder / "clone", served, folder / "key")


@pytest.fixture
def clone(origin: Origin, tmp_path: Path) -> Path:
    """Two commits behind a release's: it has other work on its branch."""
    root = origin.clone(tmp_path / "clone")
    files.write_text(root / "later.txt", "later\n")
    run(root, "git", "add", "later.txt")
    run(root, "git", "commit", "-q", "-m", "Later")
    return root


def bring(origin: Origin, root: Path, address: str = f"hf://{NAME}@final", **told: object) -> Restored:
    return restore(Hub(origin.served.url, None), parse(address), root, lambda _: None, **told)


def branch(root: Path) -> str:
    return run(root, "git", "rev-parse", "main").stdout.strip()


def test_a_clone_is_put_into_the_state_of_a_release(origin: Origin, clone: Path):
    before = branch(clone)
    done = bring(origin, clone, trust=load_trust(origin.root.parent / "key.pub"))
    assert done.to_do == ()
    assert done.was == "main"
    assert branch(clone) == before, "the branch of whoever restores is not moved"
    assert done.commit == run(clone, "git", "rev-parse", "HEAD").stdout.strip() == branch(origin.root)
    assert {"bundle", "gate", "export", "index", "synthesize", "mix@phase-03", PARENT} <= set(done.outputs)
    for target in done.outputs:
        home = Path(*target.split("@"))
        for part in ("data", "manifest.json"):
            one, other = (layout.artifacts / home / part for layout in (origin.layout, Layout(root=clone, recipe="tiny")))
            assert one.read_bytes() == other.read_bytes() if one.is_file() else contents(one) == contents(other), target
    assert done.fetched < done.bytes, "equal files are fetched once, and release.json is made"
    # Twice, and nothing comes over the wire again.
    again = bring(origin, clone)
    assert (again.fetched, again.to_do, again.outputs) == (0, (), done.outputs)
    assert run(clone, "git", "status", "--porcelain").stdout == ""


def test_what_is_left_out_is_told_with_its_licence(origin: Origin, clone: Path):
    runner = CliRunner()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        told = runner.invoke(main, ["restore", f"hf://{NAME}-data", "--from", origin.served.url, "--dry-run"])
        as_json = runner.invoke(main, ["restore", f"hf://{NAME}-data", "--from", origin.served.url, "--dry-run", "--json"])
    assert "nothing was changed" in told.stdout
    assert "left out   shards: 11 files" in told.stdout
    for row in ("BSD-3-Clause: code/networkx", "unknown: en/wiki", "Apache-2.0: synthetic/sums"):
        assert f"             {row}\n" in told.stdout
    rows = {(row["target"], row["source"]): row["licence"] for row in json.loads(as_json.stdout)["left_out"]}
    assert rows["shards", "en/wiki"] == "unknown"
    assert rows["decontaminated", "code/networkx"] == "BSD-3-Clause"
    assert rows["tokenizer", None] is None
    assert not (clone / ".dvc" / "cache").exists()
    assert run(clone, "git", "symbolic-ref", "--short", "HEAD").stdout.strip() == "main"


def test_checkpoints_that_were_not_published_are_left_out(origin: Origin, clone: Path, monkeypatch: pytest.MonkeyPatch):
    real = Hub.refs

    def refs(hub: Hub, repo: Repo) -> tuple[dict[str, str], dict[str, str]]:
        branches, tags = real(hub, repo)
        return {name: commit for name, commit in branches.items() if not name.startswith("phase-01-")}, tags

    monkeypatch.setattr(Hub, "refs", refs)
    done = bring(origin, clone, dry_run=True)
    left = {row.target for row in done.left_out}
    assert {"train@phase-01", "export", "bundle"} <= left
    assert PARENT in done.outputs


def test_one_stage_is_restored_alone_and_links_into_the_cache(origin: Origin, clone: Path):
    done = bring(origin, clone, only=[PARENT])
    assert done.outputs == (PARENT,)
    assert done.to_do == ()
    folder = Layout(root=clone, recipe="tiny").stage("train", "phase-02").data
    names = {path.stat().st_ino for path in (clone / ".dvc" / "cache").rglob("*") if path.is_file()}
    for path in (p for p in folder.rglob("*") if p.is_file() and p.stat().st_size):
        assert path.stat().st_ino in names
        assert path.stat().st_mode & 0o222 == 0, "no name of it may be written through"
    assert not Layout(root=clone, recipe="tiny").stage("mix", "phase-01").data.exists()
    with pytest.raises(StateError, match="the release tells of no output train"):
        bring(origin, clone, only=["train@phase-99"])


def test_the_runs_are_made_from_the_logs_and_a_store_that_is_there_stays(origin: Origin, clone: Path):
    assert bring(origin, clone, only=[PARENT]).runs
    store = Layout(root=clone, recipe="tiny").tracking
    assert store.exists()
    files.write_bytes(store, b"mine")
    assert not bring(origin, clone, only=[PARENT]).runs
    assert store.read_bytes() == b"mine"


def test_work_that_is_not_committed_is_never_touched(origin: Origin, clone: Path):
    files.write_text(clone / "later.txt", "changed\n")
    with pytest.raises(StateError, match="the tree is dirty") as told:
        bring(origin, clone, only=[PARENT])
    assert told.value.evidence == ("later.txt",)
    assert not (clone / ".dvc" / "cache").exists(), "nothing was fetched either"
    run(clone, "git", "checkout", "later.txt")
    # An output that DVC does not know by any name.
    own = Layout(root=clone, recipe="tiny").stage("train", "phase-02").data / "own.txt"
    files.write_text(own, "mine")
    with pytest.raises(StateError, match="dvc checkout failed") as told:
        bring(origin, clone, only=[PARENT])
    assert any("own.txt" in row for row in told.value.evidence)
    assert own.read_text() == "mine"


def test_a_file_that_git_would_overwrite_stops_it(origin: Origin, clone: Path):
    run(clone, "git", "rm", "-q", "LICENSE")
    run(clone, "git", "commit", "-q", "-m", "Without")
    files.write_text(clone / "LICENSE", "mine")
    with pytest.raises(StateError, match="git cannot check the commit out"):
        move(clone, branch(origin.root))
    assert (clone / "LICENSE").read_text() == "mine"


def test_a_clone_without_the_commit_is_told_to_fetch_it(clone: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(StateError, match="this clone has no commit 0000"):
        require_movable(clone, "0" * 40, {})
    monkeypatch.setenv("PATH", str(clone))
    with pytest.raises(StateError, match="git is not installed"):
        require_movable(clone, "0" * 40, {})


def test_interrupted_it_goes_on_where_it_stopped(origin: Origin, clone: Path, monkeypatch: pytest.MonkeyPatch):
    real, calls = published.bring, []
    lists = len(_small_files(origin, clone, monkeypatch))

    def cut(*words: object) -> int:
        calls.append(words)
        if len(calls) == lists + 2:
            raise HubError("the hub does not answer", where="here", cure="Try again")
        return real(*words)  # type: ignore[arg-type]

    head = branch(clone)
    monkeypatch.setattr(published, "bring", cut)
    with pytest.raises(HubError):
        bring(origin, clone, only=[PARENT])
    assert run(clone, "git", "rev-parse", "HEAD").stdout.strip() == head, "until all is fetched the clone is as it was"
    monkeypatch.undo()
    done = bring(origin, clone, only=[PARENT])
    assert done.to_do == ()
    assert 0 < done.fetched < done.bytes


def _small_files(origin: Origin, clone: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is brought before any output: manifests and records."""
    calls: list[object] = []
    real = published.bring
    with monkeypatch.context() as patch:
        patch.setattr(published, "bring", lambda *words: (calls.append(words), real(*words))[1])
        bring(origin, clone, dry_run=True)
    return calls


def test_an_address_of_another_release_is_refused(origin: Origin, clone: Path, monkeypatch: pytest.MonkeyPatch):
    real = published.offer

    def older(hub: Hub, address: Address, *, card: bool) -> Offer:
        made = real(hub, replace(address, revision="final" if address.revision == "older" else address.revision), card=card)
        if address.revision != "older":
            return made
        return replace(made, lists=made.lists | {"manifest.json": replace(made.lists["manifest.json"], name="tiny/model/older")})

    monkeypatch.setattr(published, "offer", older)
    with pytest.raises(HubError, match="is not part of the release that the states' main tells of"):
        bring(origin, clone, f"hf://{NAME}@older")


def test_another_key_is_refused_before_anything_is_fetched(origin: Origin, clone: Path, tmp_path: Path):
    new_key(tmp_path / "other")
    with pytest.raises(IntegrityError, match="signed by a key that is not trusted"):
        bring(origin, clone, trust=load_trust(tmp_path / "other.pub"))


def test_files_that_are_not_the_output_of_the_lock_are_refused(clone: Path, tmp_path: Path):
    cache = cache_of(clone)
    md5 = cache.add(files.write_text(tmp_path / "one.txt", "one"))
    with pytest.raises(IntegrityError, match=r"the files are not the output 0000.*dir of dvc.lock"):
        cache.add_folder({"one.txt": md5}, "0" * 32 + ".dir")


def test_bytes_written_through_a_link_into_the_cache_are_found(origin: Origin, clone: Path, monkeypatch: pytest.MonkeyPatch):
    bring(origin, clone, only=[PARENT])
    monkeypatch.chdir(clone)
    runner = CliRunner()
    assert "Give a FOLDER, or --cache." in runner.invoke(main, ["verify"]).stderr
    sound = runner.invoke(main, ["verify", "--cache"])
    assert sound.exit_code == 0
    assert "objects, all have the bytes of their names" in sound.stdout
    path = Layout(root=clone, recipe="tiny").stage("train", "phase-02").data / "metrics.jsonl"
    path.chmod(0o644)
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(IntegrityError, match="1 objects of the cache have other bytes than their names say"):
        require_sound(cache_of(clone))
    assert runner.invoke(main, ["verify", "--cache"]).exit_code == 5


def test_the_stages_own_outputs_are_stored_once(origin: Origin):
    """DVC keeps what stages wrote as hard links into its cache, also where a bundle holds what a training wrote."""
    trained, bundle = origin.layout.stage("train", "phase-02").data, origin.layout.stage("bundle").data
    (weights,) = trained.glob("checkpoints/*/weights-*")
    inode = weights.stat().st_ino
    (same,) = [p for p in bundle.glob("states/phase-02-*/checkpoint/weights-*") if p.read_bytes() == weights.read_bytes()]
    assert same.stat().st_ino == inode
    assert inode in {p.stat().st_ino for p in (origin.root / ".dvc" / "cache").rglob("*") if p.is_file()}


def test_runs_that_cannot_be_imported_are_told(clone: Path, monkeypatch: pytest.MonkeyPatch):
    layout = Layout(root=clone, recipe="tiny")
    shutil.rmtree(clone / "recipes")

    with pytest.raises(StateError, match="the MLflow store was not made"):
        restoring.track(layout)


def test_dvc_is_asked_by_its_own_command(tmp_path: Path):
    with pytest.raises(StateError, match="dvc cache failed"):
        cache_of(tmp_path)
    assert "dvc" in dvc(tmp_path, "--help").stdout


def test_after_an_erratum_a_tag_still_leads_to_the_release_and_a_withdrawn_one_is_refused(origin: Origin, clone: Path):
    """The last test: it edits what is published."""
    editor = Editor(
        hub=Hub(origin.served.url, origin.served.token), name=NAME, key=origin.root.parent / "key", say=lambda _: None
    )
    editor.erratum("phase-02-step-000024", "The card said 3 layers.")
    done = bring(origin, clone, f"hf://{NAME}@before-annealing", dry_run=True)
    assert PARENT in done.outputs
    assert "bundle" in {row.target for row in done.left_out}, "its card is another now"
    editor.withdraw("phase-02-step-000024", "wrong mix", None)
    with pytest.raises(StateError, match="was withdrawn on"):
        bring(origin, clone, dry_run=True)
    assert bring(origin, clone, dry_run=True, force=True).outputs == done.outputs


def test_stages_that_changed_and_lack_an_input_are_to_be_done_too(tmp_path: Path):
    def write(first: str) -> None:
        stages = f"one: {{cmd: {first}, deps: [given], outs: [one]}}", "two: {cmd: cp one two, deps: [one], outs: [two]}"
        (tmp_path / "dvc.yaml").write_text("stages:\n" + "".join(f"  {stage}\n" for stage in stages))

    dvc(tmp_path, "init", "--quiet", "--no-scm")
    (tmp_path / "given").write_text("1")
    write("cp given one")
    dvc(tmp_path, "repro")
    assert to_do(tmp_path) == ()
    write("cp -f given one")
    assert to_do(tmp_path) == ("one",)
    (tmp_path / "given").unlink()
    assert to_do(tmp_path) == ("one", "two")
    (tmp_path / "dvc.yaml").write_text("stages: [")
    with pytest.raises(StateError, match="dvc repro failed"):
        to_do(tmp_path)

"""pull(publish(x)) == x, and what happens in between."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.release.kit import FINAL, NAME, STABLE, contents, go, judge, make_bundle
from yulan.errors import HubError, IntegrityError, StateError
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.release.hub import Hub
from yulan.release.names import parse
from yulan.release.publication import chain
from yulan.release.publish import How, prepare, publish
from yulan.release.pull import pull
from yulan.release.verify import verify_folder


def fetch(served: Served, address: str, into: Path, only=None) -> list[str]:
    said: list[str] = []
    pull(Hub(served.url, None), parse(address), into, only, said.append)
    return said


def test_what_was_published_comes_back_byte_for_byte(published: tuple[Layout, Served], tmp_path: Path):
    layout, hub = published
    bundle = layout.stage("bundle").data
    for address, folder in {
        f"hf://{NAME}@final": "model/main",
        f"hf://{NAME}@{STABLE}": f"model/{STABLE}",
        f"hf://{NAME}-states@before-annealing": f"states/{STABLE}",
        f"hf://{NAME}-data@main": "data/main",
    }.items():
        into = tmp_path / folder.replace("/", "-")
        fetch(hub, address, into)
        assert contents(into) == contents(bundle / folder)
        assert verify_folder(into).digest


def test_a_second_publication_sends_nothing_and_says_so(layout: Layout, hub: Served):
    assert "already there" not in "".join(go(layout, hub))
    again = go(layout, hub)
    assert sum("already there" in line for line in again) == 7
    assert any(line.startswith("sent 0 bytes") for line in again)
    assert len(chain(layout.artifacts / "publications")) == 1


def test_the_same_bytes_of_an_alias_are_sent_once(layout: Layout, hub: Served):
    said = go(layout, hub)
    # model/main holds the weights of the final's own branch, sent a moment before.
    sent = next(line for line in said if line.startswith("sent "))
    size = (layout.stage("bundle").data / "model" / "main" / "model.safetensors").stat().st_size
    assert f"{size:,} more were on the hub already" in sent


def test_a_new_release_moves_the_tags_and_its_record_names_the_one_before(layout: Layout, hub: Served, tmp_path: Path):
    go(layout, hub)
    bundle = layout.stage("bundle").data
    subprocess.run(["rm", "-r", str(bundle)], check=True)
    make_bundle(bundle, seed=b"\7\0")
    go(layout, hub)
    fetch(hub, f"hf://{NAME}@final", tmp_path / "new")
    assert contents(tmp_path / "new") == contents(bundle / "model" / "main")
    first, second = chain(layout.artifacts / "publications")
    assert first.previous is None
    assert second.previous is not None
    (layout.artifacts / "publications" / "0001.json").write_text(
        (layout.artifacts / "publications" / "0001.json").read_text().replace("rehearsal", "elsewhere")
    )
    with pytest.raises(IntegrityError, match="does not name the record before it"):
        chain(layout.artifacts / "publications")


def test_a_checkpoint_branch_never_serves_main(published: tuple[Layout, Served]):
    _, hub = published
    api, repo = Hub(hub.url, hub.token), parse(f"hf://{NAME}").repo
    api.branch(repo, "fresh")
    assert set(api.tree(repo, api.commit_of(repo, "fresh"))) <= {".gitattributes"}


def test_records_travel_with_the_states(published: tuple[Layout, Served], tmp_path: Path):
    _, hub = published
    fetch(hub, f"hf://{NAME}-states@main", tmp_path / "main")
    assert {"records/verdict.json", "records/dvc.lock", "records/commit.json"} <= set(contents(tmp_path / "main"))
    assert verify_folder(tmp_path / "main")
    (tmp_path / "main" / "records" / "verdict.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"changed  records/verdict.json"):
        verify_folder(tmp_path / "main")


def test_a_part_is_found_from_any_of_the_three_names(published: tuple[Layout, Served], tmp_path: Path):
    layout, hub = published
    bundle = layout.stage("bundle").data
    fetch(hub, f"hf://{NAME}@final", tmp_path / "optimizer", "optimizer")
    assert contents(tmp_path / "optimizer") == contents(bundle / "states" / FINAL)
    fetch(hub, f"hf://{NAME}-states@{STABLE}", tmp_path / "weights", "weights")
    assert contents(tmp_path / "weights") == contents(bundle / "model" / STABLE)
    fetch(hub, f"hf://{NAME}@final", tmp_path / "data", "data")
    assert contents(tmp_path / "data") == contents(bundle / "data" / "main")
    fetch(hub, f"hf://{NAME}@final", tmp_path / "card", "card")
    assert set(contents(tmp_path / "card")) == {"README.md", "card.json"}
    assert verify_folder(tmp_path / "card").files == 1


def test_pull_goes_on_where_it_stopped(published: tuple[Layout, Served], tmp_path: Path):
    layout, hub = published
    whole = layout.stage("bundle").data / "model" / "main"
    partial = tmp_path / "final.partial"
    partial.mkdir()
    data = (whole / "model.safetensors").read_bytes()
    (partial / "model.safetensors.partial").write_bytes(data[: len(data) // 2])
    (partial / "of-another-revision.bin").write_bytes(b"x")
    done = pull(Hub(hub.url, None), parse(f"hf://{NAME}@final"), tmp_path / "final", None, lambda _: None)
    assert contents(tmp_path / "final") == contents(whole)
    assert done.fetched < len(data)
    again = pull(Hub(hub.url, None), parse(f"hf://{NAME}@final"), tmp_path / "final", None, lambda _: None)
    assert again.fetched == 0


def test_what_another_revision_left_half_fetched_is_thrown_away(published: tuple[Layout, Served], tmp_path: Path):
    layout, hub = published
    (tmp_path / "final.partial").mkdir()
    (tmp_path / "final.partial" / "model.safetensors.partial").write_bytes(b"not these")
    fetch(hub, f"hf://{NAME}@final", tmp_path / "final")
    assert contents(tmp_path / "final") == contents(layout.stage("bundle").data / "model" / "main")


def test_pull_refuses_a_folder_that_holds_something_else(published: tuple[Layout, Served], tmp_path: Path):
    _, hub = published
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(StateError, match="something else stands there"):
        fetch(hub, f"hf://{NAME}@final", tmp_path / "mine")
    assert contents(tmp_path / "mine") == {"notes.txt": b"keep"}


def test_a_hub_that_changed_a_byte_is_named_with_the_file(layout: Layout, hub: Served, tmp_path: Path):
    go(layout, hub)
    weights = (layout.stage("bundle").data / "model" / "main" / "model.safetensors").read_bytes()
    stored = next(p for p in (tmp_path / "hub").rglob("*") if p.is_file() and p.read_bytes() == weights)
    stored.chmod(0o644)
    stored.write_bytes(weights[:-1] + b"!")
    with pytest.raises(HubError, match=r"model.safetensors: the hub sent other bytes"):
        fetch(hub, f"hf://{NAME}@final", tmp_path / "final")
    assert not (tmp_path / "final").exists()


def test_a_revision_of_another_publisher_is_refused(hub: Served, tmp_path: Path):
    from huggingface_hub import HfApi

    HfApi(endpoint=hub.url, token=hub.token).create_repo("someone/else")
    with pytest.raises(HubError, match=r"no manifest.json"):
        fetch(hub, "hf://someone/else", tmp_path / "else")
    with pytest.raises(HubError, match="no such repository"):
        fetch(hub, "hf://someone/nothing", tmp_path / "else")


def test_an_unlisted_file_on_the_hub_is_refused(layout: Layout, hub: Served, tmp_path: Path):
    from huggingface_hub import HfApi

    go(layout, hub)
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.upload_file(path_or_fileobj=b"import os", path_in_repo="modeling.py", repo_id=NAME)
    with pytest.raises(HubError, match=r"extra    modeling.py"):
        fetch(hub, f"hf://{NAME}@main", tmp_path / "main")


def test_tokens_that_may_not_write_are_refused_in_words(layout: Layout, hub: Served):
    with pytest.raises(HubError, match="does not accept this token"):
        go(layout, hub, "hf_wrong")
    with pytest.raises(HubError, match="may not write"):
        go(layout, hub, hub.read_token)


def test_a_hub_that_is_down_is_said_to_be(layout: Layout):
    with pytest.raises(HubError, match="the hub does not answer"):
        publish(judge(layout), layout, Hub("http://127.0.0.1:9", "hf_any"), "0" * 40, print, How(key=None))


def test_a_plan_names_every_revision_and_counts_equal_bytes_once(layout: Layout):
    plan = prepare(judge(layout), layout, "0" * 40, How(), None).plan
    repos = {target.id: target for target in plan.repos}
    assert list(repos) == [f"{NAME}-data", f"{NAME}-states", NAME]
    model = repos[NAME]
    assert [step.name for step in model.revisions] == [STABLE, FINAL, "main"]
    assert model.bytes < sum(step.bytes for step in model.revisions)
    assert plan.bytes == sum(target.bytes for target in plan.repos)
    assert {(step.new, step.head) for target in plan.repos for step in target.revisions} == {(None, None)}

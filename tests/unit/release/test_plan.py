"""A plan says what would be sent, and publishing may be held to it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from huggingface_hub import HfApi

from tests.unit.release.faulty import faulty, on, once, says
from tests.unit.release.kit import FINAL, NAME, STABLE, go, judge, make_bundle
from yulan import files
from yulan.cli import main
from yulan.errors import HubError, StateError
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.release.hub import Hub
from yulan.release.names import PARTS, repo
from yulan.release.plan import Plan, read_plan, write_plan
from yulan.release.publication import chain
from yulan.release.publish import How, prepare


def planned(layout: Layout, served: Served, **how: object) -> Plan:
    return prepare(judge(layout), layout, "0" * 40, How(**how), Hub(served.url, None)).plan  # type: ignore[arg-type]


def state(served: Served) -> list[object]:
    """Branches and tags of what is there of the three."""
    hub, found = Hub(served.url, served.token), []
    for part in PARTS:
        try:
            found.append(hub.refs(repo(NAME, part)))
        except HubError:
            found.append(None)
    return found


def test_a_plan_says_what_is_new_on_the_hub_and_where_its_branches_stand(layout: Layout, hub: Served):
    first = planned(layout, hub)
    steps = [step for target in first.repos for step in target.revisions]
    assert all(step.new == step.bytes and step.head is None for step in steps)
    assert state(hub) == [None] * 3, "a plan makes nothing"
    go(layout, hub)
    second = planned(layout, hub)
    assert {step.new for target in second.repos for step in target.revisions} == {0}
    branches = Hub(hub.url, None).refs(repo(NAME, "model"))[0]
    assert {step.name: step.head for step in second.repos[2].revisions} == branches


def test_a_reviewed_plan_is_carried_out(layout: Layout, hub: Served, tmp_path: Path):
    write_plan(tmp_path / "plan.json", planned(layout, hub, checkpoints=(STABLE,)))
    agreed = read_plan(tmp_path / "plan.json")
    go(layout, hub, agreed=agreed)
    assert len(chain(layout.artifacts / "publications")) == 1
    assert any(line.startswith("sent 0 bytes") for line in go(layout, hub, agreed=agreed)), "done twice it changes nothing"


def test_a_bundle_that_was_not_planned_is_not_published(layout: Layout, hub: Served):
    agreed = planned(layout, hub)
    files.remove(layout.stage("bundle").data)
    make_bundle(layout.stage("bundle").data, seed=b"\7\0")
    with pytest.raises(StateError, match="this is not what was planned") as told:
        go(layout, hub, agreed=agreed)
    assert told.value.evidence[0].startswith("bundle: ")
    assert state(hub) == [None] * 3


def test_a_branch_that_someone_moved_since_is_left_as_it_is(layout: Layout, hub: Served):
    go(layout, hub)
    agreed = planned(layout, hub)
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.upload_file(path_or_fileobj=b"# Better", path_in_repo="README.md", repo_id=NAME)
    before = state(hub)
    with pytest.raises(StateError, match="was moved since the plan was made"):
        go(layout, hub, agreed=agreed)
    assert state(hub) == before


def test_our_own_interrupted_try_is_no_change_to_the_plan(layout: Layout, hub: Served):
    agreed = planned(layout, hub)
    with faulty(hub) as road:
        road.faults.append(once(on("POST", f"/api/models/{NAME}/commit/main", says(500))))
        broken = Served(url=road.url, token=hub.token, read_token=hub.read_token, pid=hub.pid)
        with pytest.raises(HubError, match="the hub did not take the commit"):
            go(layout, broken, agreed=agreed)
        go(layout, broken, agreed=agreed)
    assert set(Hub(hub.url, None).refs(repo(NAME, "model"))[1]) == {"final", "before-annealing"}


def test_a_plan_that_asked_no_hub_is_not_applied(layout: Layout, tmp_path: Path):
    write_plan(tmp_path / "plan.json", prepare(judge(layout), layout, "0" * 40, How(), None).plan)
    with pytest.raises(StateError, match="was made without asking a hub"):
        read_plan(tmp_path / "plan.json")


def test_what_does_not_fit_into_the_account_is_not_begun(layout: Layout, hub: Served):
    with pytest.raises(StateError, match="that the account may keep") as told:
        go(layout, hub, quota=1000)
    assert [row.partition(":")[0] for row in told.value.evidence] == [f"{NAME}-data", f"{NAME}-states", NAME]
    assert state(hub) == [None] * 3


def test_private_repositories_are_for_those_with_a_token(layout: Layout, hub: Served):
    go(layout, hub, private=True)
    assert len(Hub(hub.url, hub.read_token).refs(repo(NAME, "model"))[0]) == 3
    with pytest.raises(HubError, match="no such repository"):
        Hub(hub.url, None).refs(repo(NAME, "model"))


def test_a_collection_gets_each_repository_once(layout: Layout, hub: Served):
    api = HfApi(endpoint=hub.url, token=hub.token)
    slug = api.create_collection("YuLan", namespace="yulan-nano").slug
    go(layout, hub, collection=slug)
    assert f"{slug}: holds all three" in go(layout, hub, collection=slug)
    items = [(item.item_type, item.item_id) for item in api.get_collection(slug).items]
    assert items == [("dataset", f"{NAME}-data"), ("model", f"{NAME}-states"), ("model", NAME)]


def test_the_plan_is_what_is_applied(tmp_path: Path):
    (tmp_path / "plan.json").write_text("{}")
    told = CliRunner().invoke(main, ["publish", "--apply", str(tmp_path / "plan.json"), "--unsigned", "--all-checkpoints"])
    assert told.exit_code == 2
    assert "A plan that is applied says all but --to, the key and the collection." in told.output


def test_a_checkpoint_without_a_tag_is_published_when_it_is_named(layout: Layout, hub: Served):
    untag(layout)
    go(layout, hub, every=False)
    assert set(Hub(hub.url, None).refs(repo(NAME, "model"))[0]) == {"main", FINAL}
    assert listed(hub) == [FINAL, "main"]
    go(layout, hub, every=False, checkpoints=(STABLE,))
    assert set(Hub(hub.url, None).refs(repo(NAME, "states"))[0]) == {"main", FINAL, STABLE}
    assert listed(hub) == [FINAL, "main", STABLE]
    go(layout, hub, every=False)
    assert listed(hub) == [FINAL, "main", STABLE], "what was published is not forgotten"
    with pytest.raises(StateError, match="no checkpoint is called phase-09"):
        go(layout, hub, every=False, checkpoints=("phase-09",))


def test_all_checkpoints_are_published_on_demand(layout: Layout, hub: Served):
    untag(layout)
    go(layout, hub, every=True)
    assert set(Hub(hub.url, None).refs(repo(NAME, "model"))[0]) == {"main", FINAL, STABLE}
    assert listed(hub) == [FINAL, "main", STABLE]


def untag(layout: Layout) -> None:
    """Leave the stable checkpoint without a tag, and list all of them."""
    from tests.unit.release.test_withdraw import TABLE
    from yulan.release.seal import reseal_card

    bundle = layout.stage("bundle").data
    for part in ("model", "states"):
        files.write_text(bundle / part / "main" / "checkpoints.csv", TABLE)
        reseal_card(bundle / part / "main")
    release = json.loads((bundle / "release.json").read_text())
    for part in ("model", "states"):
        del release[part]["tags"]["before-annealing"]
    files.write_json(bundle / "release.json", release)


def listed(served: Served) -> list[str]:
    """Revisions of checkpoints.csv, the same in model and states."""
    hub, found = Hub(served.url, None), set()
    for part in ("model", "states"):
        target = repo(NAME, part)  # type: ignore[arg-type]
        raw = b"".join(hub.read(target, hub.commit_of(target, "main"), "checkpoints.csv")).decode()
        found.add(tuple(row.split(",")[4] for row in raw.splitlines()[1:]))
    (rows,) = found
    return list(rows)


@pytest.mark.slow
def test_the_command_writes_a_plan_and_applies_it(layout: Layout, hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(layout.root)
    monkeypatch.setattr("yulan.release.progress.EVERY", 0.0)
    (layout.root / "recipes").mkdir()
    (layout.root / "dvc.yaml").write_text("stages: {}\n")
    (layout.root / "params.yaml").write_text(
        "recipe: tiny\nprofile: cpu-1\nphases: {phase-01: {parent: init, before: tokenizer, mix: phase-01}}\n"
    )
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "-qam", "dvc"], check=True)
    judge(layout)

    def say(*words: str) -> Result:
        done = CliRunner().invoke(main, ["publish", *words], env={"HF_TOKEN": hub.token}, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done

    offline = json.loads(say("--dry-run").stdout)
    assert (offline["hub"], offline["quota"]) == (None, 5 * 10**12)
    told = say("--plan", str(tmp_path / "plan.json"), "--to", hub.url).stdout
    assert told == f"{tmp_path}/plan.json: {offline['bytes']:,} of {offline['bytes']:,} bytes are new there; " + (
        "the account may keep 5,000,000,000,000\n"
    )
    assert json.loads((tmp_path / "plan.json").read_text())["hub"] == "rehearsal"
    applied = say("--apply", str(tmp_path / "plan.json"), "--unsigned", "--to", hub.url)
    assert applied.stdout == f"{NAME}: published; record artifacts/tiny/publications/0001.json\n"
    assert re.search(r"^yulan-nano/YuLan-Nano@main: [\d,]+ bytes are there, as they are here$", applied.stderr, re.M)
    assert re.search(r"@phase-02-step-000003: [\d,]+ of [\d,]+ bytes, [\d.]+ MB/s, 0 s left$", applied.stderr, re.M)

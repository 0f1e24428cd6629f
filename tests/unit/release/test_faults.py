"""Whatever the hub does, its branches and tags are old or new, and a rerun finishes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.release.faulty import Answer, Faulty, Forward, faulty, lost, on, once, says
from tests.unit.release.kit import FINAL, NAME, contents, fill, go, judge
from yulan.errors import HubError, IntegrityError
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.release import bring
from yulan.release.hub import Hub
from yulan.release.names import parse, repo
from yulan.release.publish import How, prepare
from yulan.release.pull import pull

pytestmark = pytest.mark.slow
COMMIT = f"/api/models/{NAME}/commit/"


@pytest.fixture
def broken(hub: Served) -> Iterator[tuple[Faulty, Served]]:
    """A faulty road to a good hub."""
    with faulty(hub) as state:
        yield state, Served(url=state.url, token=hub.token, read_token=hub.read_token, pid=hub.pid)


def test_a_commit_whose_answer_is_lost_is_found_by_looking(layout: Layout, broken: tuple[Faulty, Served]):
    state, road = broken
    state.faults.append(once(on("POST", COMMIT, lost)))
    said = go(layout, road)
    assert any("looking at what is there" in line for line in said)
    assert any(line.startswith("sent 0 bytes") for line in go(layout, road))


def test_a_commit_that_did_not_happen_changes_nothing_and_a_rerun_uploads_nothing_again(
    layout: Layout, broken: tuple[Faulty, Served]
):
    state, road = broken
    state.faults.append(once(on("POST", f"{COMMIT}main", says(500))))
    with pytest.raises(HubError, match="the hub did not take the commit"):
        go(layout, road)
    branches, tags = Hub(road.url, road.token).refs(repo(NAME, "model"))
    assert set(branches) >= {"main", FINAL}
    assert tags == {}
    before = len(state.seen)
    go(layout, road)
    assert not [row for row in state.seen[before:] if row.startswith("PUT")]
    assert Hub(road.url, road.token).refs(repo(NAME, "model"))[1].keys() == {"final", "before-annealing"}


def test_an_upload_that_is_refused_is_told_and_a_rerun_goes_on(layout: Layout, broken: tuple[Faulty, Served]):
    state, road = broken
    state.faults.append(once(on("PUT", "/lfs/", says(403))))
    with pytest.raises(HubError, match="may not write there"):
        go(layout, road)
    go(layout, road)
    uploads = [row.split("/")[3] for row in state.seen if row.startswith("PUT")]
    assert len(uploads) == len(set(uploads)) + 1, "only the refused one is sent again"


def test_another_writer_is_noticed(layout: Layout, broken: tuple[Faulty, Served], hub: Served):
    from huggingface_hub import HfApi

    state, road = broken

    def meddle(forward: Forward) -> Answer:
        HfApi(endpoint=hub.url, token=hub.token).upload_file(path_or_fileobj=b"x", path_in_repo="stray.txt", repo_id=NAME)
        return forward()

    state.faults.append(once(on("POST", f"{COMMIT}main", meddle)))
    with pytest.raises(HubError, match="the hub does not hold what was sent") as told:
        go(layout, road)
    assert "extra    stray.txt" in told.value.evidence
    go(layout, road)


def test_a_byte_that_the_hub_changed_is_named(layout: Layout, broken: tuple[Faulty, Served]):
    state, road = broken

    def alter(forward: Forward) -> Answer:
        status, headers, data = forward()
        rows = json.loads(data)
        for row in rows:
            if row["path"] in {"config.json", "model.safetensors"}:
                row["oid"] = "0" * 40
                if "lfs" in row:
                    row["lfs"]["oid"] = "0" * 64
        return status, headers, json.dumps(rows).encode()

    state.faults.append(on("GET", f"/api/models/{NAME}/tree/", alter))
    with pytest.raises(HubError, match="the hub does not hold what was sent") as told:
        go(layout, road)
    assert told.value.evidence == ("changed  config.json", "changed  model.safetensors")


def test_tags_that_the_hub_forgets_are_noticed(layout: Layout, broken: tuple[Faulty, Served]):
    state, road = broken
    state.faults.append(on("POST", f"/api/models/{NAME}/tag/", says(200)))
    with pytest.raises(HubError, match="the hub holds other tags than were set"):
        go(layout, road)


def test_the_model_is_published_last_and_its_tag_last_of_all(layout: Layout, broken: tuple[Faulty, Served]):
    state, road = broken
    go(layout, road)
    marks = [row for row in state.seen if row.startswith("POST") and ("/commit/" in row or "/tag/" in row)]
    commits = [row for row in marks if "/commit/" in row]
    parts = [next(part for part in ("-data/", "-states/", "YuLan-Nano/") if part in row) for row in commits]
    assert parts == ["-data/"] + ["-states/"] * 3 + ["YuLan-Nano/"] * 3
    assert commits[-1].endswith("/main")
    assert "/tag/" in marks[-1]
    assert f"/api/models/{NAME}/tag/" in marks[-1]


@pytest.mark.parametrize(
    ("status", "told"),
    [(429, "asks to slow down"), (503, "the hub answered 503"), (401, "does not accept this token")],
)
def test_a_refusal_is_said_in_words(broken: tuple[Faulty, Served], status: int, told: str):
    state, road = broken
    state.faults.append(on("GET", "/api/whoami", says(status)))
    with pytest.raises(HubError, match=told):
        Hub(road.url, road.token).who()


def test_a_download_that_is_cut_goes_on_there(
    layout: Layout, broken: tuple[Faulty, Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    state, road = broken
    go(layout, road)
    monkeypatch.setattr(bring, "PATIENCE", 0)

    def cut(forward: Forward) -> Answer:
        status, headers, data = forward()
        return status, headers, data[: len(data) // 2]

    state.faults.append(once(on("GET", "model.safetensors", cut)))
    address = parse(f"hf://{NAME}@final")
    with pytest.raises(HubError, match="ended in the middle of a file"):
        pull(Hub(road.url, None), address, tmp_path / "final", None, lambda _: None)
    assert not (tmp_path / "final").exists()
    whole = layout.stage("bundle").data / "model" / "main"
    done = pull(Hub(road.url, None), address, tmp_path / "final", None, lambda _: None)
    assert contents(tmp_path / "final") == contents(whole)
    assert done.fetched < (whole / "model.safetensors").stat().st_size // 2 + 1_000


def test_a_hub_without_ranges_is_asked_for_the_whole(layout: Layout, broken: tuple[Faulty, Served], tmp_path: Path):
    state, road = broken
    go(layout, road)
    partial = tmp_path / "final.partial"
    partial.mkdir()
    (partial / "model.safetensors.partial").write_bytes(b"\0")
    state.faults.append(on("GET", "model.safetensors", lambda forward: (200, {}, forward()[2])))
    pull(Hub(road.url, None), parse(f"hf://{NAME}@final"), tmp_path / "final", None, lambda _: None)
    assert contents(tmp_path / "final") == contents(layout.stage("bundle").data / "model" / "main")


def test_a_list_that_is_too_large_is_not_read(layout: Layout, broken: tuple[Faulty, Served], tmp_path: Path):
    state, road = broken
    go(layout, road)

    def swell(forward: Forward) -> Answer:
        status, headers, data = forward()
        rows = [row | {"size": 1 << 40} if row["path"] == "manifest.json" else row for row in json.loads(data)]
        return status, headers, json.dumps(rows).encode()

    state.faults.append(on("GET", f"/api/models/{NAME}/tree/", swell))
    with pytest.raises(HubError, match="a list of 1,099,511,627,776 bytes"):
        pull(Hub(road.url, None), parse(f"hf://{NAME}@final"), tmp_path / "final", None, lambda _: None)


def test_states_that_the_model_does_not_pin_are_refused(layout: Layout, hub: Served, tmp_path: Path):
    from huggingface_hub import HfApi

    go(layout, hub)
    other = tmp_path / "other"
    fill(other / "states" / FINAL, {"checkpoint/weights.bin": b"others"})
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.delete_file("checkpoint/weights.bin", f"{NAME}-states", revision=FINAL)
    api.upload_folder(repo_id=f"{NAME}-states", folder_path=other / "states" / FINAL, revision=FINAL)
    with pytest.raises(HubError, match="is not the revision that the model pins"):
        pull(Hub(hub.url, None), parse(f"hf://{NAME}@final"), tmp_path / "states", "optimizer", lambda _: None)


def test_a_release_without_pins_sends_nobody_elsewhere(layout: Layout, hub: Served, tmp_path: Path):
    from huggingface_hub import HfApi

    fill(tmp_path / "alone" / "main", {"config.json": b"{}"})
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo("someone/alone")
    api.upload_folder(repo_id="someone/alone", folder_path=tmp_path / "alone" / "main")
    with pytest.raises(HubError, match="this release pins no states"):
        pull(Hub(hub.url, None), parse("hf://someone/alone"), tmp_path / "x", "optimizer", lambda _: None)


def test_a_folder_that_someone_changes_while_it_is_fetched_is_not_given_its_name(layout: Layout, hub: Served, tmp_path: Path):
    go(layout, hub)

    def meddle(_: str) -> None:
        (tmp_path / "final.partial" / "config.json").write_bytes(b"other")

    with pytest.raises(IntegrityError, match="changed while it was fetched"):
        pull(Hub(hub.url, None), parse(f"hf://{NAME}@final"), tmp_path / "final", None, meddle)
    assert not (tmp_path / "final").exists()


def test_a_release_of_another_bundle_is_not_sent(layout: Layout, hub: Served):
    release = layout.stage("bundle").data / "release.json"
    release.write_text(release.read_text().replace(json.loads(release.read_text())["data"]["revisions"]["main"], "0" * 64))
    ready = judge(layout)
    with pytest.raises(IntegrityError, match=r"is not the folder that release.json names"):
        prepare(ready, layout, "0" * 40, How(), None)

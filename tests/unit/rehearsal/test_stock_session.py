"""One session of stock clients, from an empty hub to a release that others load. Each answer is looked at, each call counted."""

import json
import os
import warnings
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub import errors as hf
from safetensors.numpy import save

from tests.unit.rehearsal.programs import CARDS, LOAD, PUSH
from tests.unit.rehearsal.stock import Session
from yulan import digest
from yulan.rehearsal import running_hub
from yulan.rehearsal.store import TOKENS

MODEL, DATA = "lab/tiny", "lab/tiny-data"
TEXTS = {"train": [f"row {n}" for n in range(50)], "test": ["数据", "last"]}


def who_is_there(s: Session) -> None:
    assert s.api.whoami()["auth"]["accessToken"]["role"] == "write"
    assert s.reader.whoami()["auth"]["accessToken"]["role"] == "read"
    assert s.stranger.whoami()["name"] == "stranger"
    with pytest.raises(hf.HfHubHTTPError, match="Invalid user token"):
        s.nobody.whoami(token="hf_wrong")
    assert s.hf("auth", "whoami")["user"] == "rehearsal"


def two_repos_are_made(s: Session) -> None:
    assert s.api.create_repo(MODEL).repo_id == MODEL
    assert s.api.create_repo(MODEL, exist_ok=True).repo_id == MODEL
    assert s.api.create_repo(DATA, repo_type="dataset", private=True).repo_type == "dataset"
    with pytest.raises(hf.HfHubHTTPError, match="409"):
        s.api.create_repo(MODEL)
    with pytest.raises(hf.HfHubHTTPError, match="403"):
        s.reader.create_repo("lab/not-mine")
    assert s.api.repo_exists(MODEL)
    assert not s.nobody.repo_exists(DATA, repo_type="dataset")
    assert [row.id for row in s.api.list_models(author="lab")] == [MODEL]
    assert [row.id for row in s.api.list_datasets(search="tiny")] == [DATA]
    assert list(s.nobody.list_datasets(author="lab")) == []


def files_go_up_and_are_looked_at(s: Session) -> None:
    import numpy

    weights = save({"w": numpy.arange(3000, dtype="float32").reshape(30, 100)})
    s["weights"].write_bytes(weights)
    first = s.api.upload_file(path_or_fileobj=s["weights"], path_in_repo="model.safetensors", repo_id=MODEL)
    head = s.api.create_commit(
        MODEL,
        [CommitOperationAdd("notes/one.txt", b"one"), CommitOperationAdd("notes/two.txt", b"two")],
        commit_message="Notes",
        parent_commit=first.oid,
    )
    with pytest.raises(hf.HfHubHTTPError, match="412"):
        s.api.create_commit(MODEL, [CommitOperationAdd("late", b"")], commit_message="late", parent_commit=first.oid)
    assert s.api.file_exists(MODEL, "notes/one.txt")
    assert not s.api.file_exists(MODEL, "late")
    assert s.api.list_repo_files(MODEL) == [".gitattributes", "model.safetensors", "notes/one.txt", "notes/two.txt"]
    tree = {row.path: row for row in s.api.list_repo_tree(MODEL, recursive=True, expand=True)}
    assert tree["model.safetensors"].lfs.sha256 == digest.of_bytes(weights)
    assert tree["notes"].last_commit.oid == head.oid
    info = s.api.get_paths_info(MODEL, ["notes/two.txt", "absent"])
    assert [(row.path, row.blob_id) for row in info] == [("notes/two.txt", digest.git_blob(b"two"))]
    assert [row.title for row in s.api.list_repo_commits(MODEL)][:1] == ["Notes"]
    found = s.api.model_info(MODEL, files_metadata=True)
    assert (found.sha, {row.rfilename: row.size for row in found.siblings}["model.safetensors"]) == (head.oid, len(weights))
    assert s.api.model_info(MODEL, expand=["lastModified"]).sha is None
    assert s.api.repo_info(MODEL, revision=first.oid).sha == first.oid
    header = s.api.get_safetensors_metadata(MODEL)
    assert header.files_metadata["model.safetensors"].tensors["w"].shape == [30, 100]


def files_come_down(s: Session) -> None:
    where = {"endpoint": s.hub.url, "token": s.hub.token, "cache_dir": s["cache"]}
    one = s.call(hf_hub_download, MODEL, "notes/one.txt", **where)
    assert Path(one).read_text() == "one"
    told = s.call(get_hf_file_metadata, hf_hub_url(MODEL, "model.safetensors", endpoint=s.hub.url), token=s.hub.token)
    assert (told.etag, told.size) == (digest.of_file(s["weights"]), s["weights"].stat().st_size)
    folder = s.call(snapshot_download, MODEL, allow_patterns=["*.safetensors"], **where | {"cache_dir": s["part"]})
    assert [path.name for path in Path(folder).rglob("*") if path.is_file()] == ["model.safetensors"]
    for error, ask in (
        (hf.RepositoryNotFoundError, {"repo_id": "lab/absent", "filename": "f"}),
        (hf.RepositoryNotFoundError, {"repo_id": "gpt2", "filename": "f"}),
        (hf.RevisionNotFoundError, {"repo_id": MODEL, "filename": "f", "revision": "absent"}),
        (hf.EntryNotFoundError, {"repo_id": MODEL, "filename": "absent"}),
    ):
        with pytest.raises(error):
            s.call(hf_hub_download, **ask, **where)


def the_file_system_reads_and_writes(s: Session) -> None:
    assert s.files.ls(f"{MODEL}/notes", detail=False) == [f"{MODEL}/notes/one.txt", f"{MODEL}/notes/two.txt"]
    assert s.files.glob(f"{MODEL}/**/*.txt") == [f"{MODEL}/notes/one.txt", f"{MODEL}/notes/two.txt"]
    assert s.files.info(f"{MODEL}/model.safetensors")["size"] == s["weights"].stat().st_size
    assert s.files.cat_file(f"{MODEL}/model.safetensors", start=-8) == s["weights"].read_bytes()[-8:]
    with s.files.open(f"{MODEL}/model.safetensors", block_size=1024) as file:
        file.seek(5000)
        assert file.read(10) == s["weights"].read_bytes()[5000:5010]
    with s.files.open(f"{MODEL}/notes/three.txt", "w") as file:
        file.write("three")
    s.files.cp_file(f"{MODEL}/model.safetensors", f"{MODEL}/copy.safetensors")
    assert s.files.exists(f"{MODEL}/copy.safetensors")
    s.files.rm_file(f"{MODEL}/notes/three.txt")
    assert not s.files.exists(f"{MODEL}/notes/three.txt")
    assert sorted(s.files.find(MODEL)) == sorted(f"{MODEL}/{path}" for path in s.api.list_repo_files(MODEL))


def branches_and_tags_hold_what_they_held(s: Session) -> None:
    first = s.api.list_repo_commits(MODEL)[-1].commit_id
    s.api.create_branch(MODEL, branch="phase-01-step-000010", revision=first)
    done = s.api.upload_file(path_or_fileobj=b"\0w", path_in_repo="w.bin", repo_id=MODEL, revision="phase-01-step-000010")
    s.api.create_tag(MODEL, tag="before-annealing", revision=done.oid)
    refs = s.api.list_repo_refs(MODEL)
    assert {row.name: row.target_commit for row in refs.branches}["phase-01-step-000010"] == done.oid
    assert [(row.name, row.target_commit) for row in refs.tags] == [("before-annealing", done.oid)]
    with pytest.raises(hf.HfHubHTTPError, match="409"):
        s.api.create_tag(MODEL, tag="before-annealing")
    s.api.super_squash_history(MODEL, branch="phase-01-step-000010")
    assert len(s.api.list_repo_commits(MODEL, revision="phase-01-step-000010")) == 1
    assert s.api.list_repo_files(MODEL, revision="phase-01-step-000010") == [".gitattributes", "w.bin"]
    s.api.delete_tag(MODEL, tag="before-annealing")
    s.api.delete_branch(MODEL, branch="phase-01-step-000010")
    assert not s.api.revision_exists(MODEL, "before-annealing")


def a_pull_request_is_talked_over_and_merged(s: Session) -> None:
    pull = s.api.create_pull_request(MODEL, "Weights of the end", description="All of them")
    s.api.create_commit(
        MODEL,
        [CommitOperationAdd("end.bin", b"\0end"), CommitOperationDelete("copy.safetensors")],
        commit_message="End",
        revision=pull.git_reference,
    )
    note = s.api.comment_discussion(MODEL, pull.num, "looks godo")
    assert s.api.edit_discussion_comment(MODEL, pull.num, note.id, "looks good").content == "looks good"
    with warnings.catch_warnings(action="ignore"):
        assert s.api.hide_discussion_comment(MODEL, pull.num, note.id).hidden
    assert s.api.rename_discussion(MODEL, pull.num, "The end").new_title == "The end"
    assert not s.api.file_exists(MODEL, "end.bin")
    s.api.merge_pull_request(MODEL, pull.num)
    assert s.api.file_exists(MODEL, "end.bin")
    assert not s.api.file_exists(MODEL, "copy.safetensors")
    assert [(row.num, row.title, row.status) for row in s.api.get_repo_discussions(MODEL)] == [(pull.num, "The end", "merged")]
    talk = s.api.create_discussion(MODEL, "A question")
    assert s.api.change_discussion_status(MODEL, talk.num, "closed").new_status == "closed"
    assert s.api.get_discussion_details(MODEL, talk.num).status == "closed"


def a_gate_opens_for_those_who_are_let_in(s: Session) -> None:
    s.api.update_repo_settings(MODEL, gated="manual")
    for client, error, says in ((s.stranger, hf.GatedRepoError, "403"), (s.nobody, hf.GatedRepoError, "401")):
        with pytest.raises(error, match=says):
            client.auth_check(MODEL)
    s.page_of(MODEL, "ask-access", s.hub.stranger_token)
    assert [row.username for row in s.api.list_pending_access_requests(MODEL)] == ["stranger"]
    s.api.accept_access_request(MODEL, "stranger")
    assert Path(s.stranger.hf_hub_download(MODEL, "end.bin", cache_dir=s["other-cache"])).read_bytes() == b"\0end"
    s.api.reject_access_request(MODEL, "stranger", rejection_reason="no more")
    assert [row.username for row in s.api.list_rejected_access_requests(MODEL)] == ["stranger"]
    s.api.grant_access(MODEL, "stranger")
    assert [row.status for row in s.api.list_accepted_access_requests(MODEL)] == ["accepted"]
    s.api.update_repo_settings(MODEL, gated=False)
    with pytest.raises(hf.RepositoryNotFoundError):
        s.stranger.dataset_info(DATA)


def a_large_file_is_deleted_for_good(s: Session) -> None:
    rows = {row.filename: row for row in s.api.list_lfs_files(MODEL)}
    assert set(rows) == {"model.safetensors", "w.bin", "end.bin"}
    s.api.permanently_delete_lfs_files(MODEL, [rows["end.bin"]])
    assert "end.bin" not in s.api.list_repo_files(MODEL)
    assert "end.bin" not in [row.filename for row in s.api.list_lfs_files(MODEL)]
    assert s.api.list_repo_commits(MODEL)[0].title == "The end (#1)"


def cards_say_what_they_hold(s: Session) -> None:
    assert s.python(CARDS)["ModelCard.load"] == {"license": "mit", "tags": ["tiny"], "language": "zh"}
    assert s.api.model_info(MODEL).card_data.license == "mit"
    assert [row.id for row in s.api.list_models(filter="tiny", limit=1)] == [MODEL]
    with pytest.raises(ValueError, match="Invalid"):
        s.api.upload_file(path_or_fileobj=b"---\nlicense: [\n---\n", path_in_repo="README.md", repo_id=DATA, repo_type="dataset")


def a_collection_gathers_the_release(s: Session) -> None:
    shelf = s.api.create_collection("Tiny", namespace="lab").slug
    s.api.add_collection_item(shelf, MODEL, "model")
    items = s.api.add_collection_item(shelf, DATA, "dataset", note="what it saw").items
    s.api.update_collection_item(shelf, items[1].item_object_id, position=0)
    assert [(item.item_id, item.note) for item in s.api.get_collection(shelf).items] == [(DATA, "what it saw"), (MODEL, None)]
    s.api.delete_collection_item(shelf, items[1].item_object_id)
    assert [row.title for row in s.api.list_collections(owner="lab")] == ["Tiny"]
    s.api.delete_collection(shelf)


def the_hf_command_does_the_same(s: Session) -> None:
    s["up/big.bin"].write_bytes(os.urandom(40 << 20))
    s["up/README.md"].write_text("---\nlicense: mit\n---\n# Hello\n")
    s.hf("repos", "create", "lab/cli")
    s.hf("upload", "lab/cli", str(s["up"]), ".")
    s.hf("repos", "tag", "create", "lab/cli", "v1")
    assert [row["name"] for row in s.hf("repos", "tag", "list", "lab/cli")] == ["v1"]
    assert {row["path"]: row["size"] for row in s.hf("models", "ls", "lab/cli")}["big.bin"] == 40 << 20
    s.hf("download", "lab/cli", "--revision", "v1", "--local-dir", str(s["down"]))
    assert digest.of_file(s["down/big.bin"]) == digest.of_file(s["up/big.bin"])
    s.hf("repos", "duplicate", "lab/cli", "lab/twin")
    s.hf("repos", "move", "lab/twin", "lab/moved")
    assert s.api.model_info("lab/twin").id == "lab/moved"
    assert {row["id"]: row["storage"] for row in s.hf("repos", "ls")}["lab/moved"] == "41.9 MB"
    s.hf("repos", "delete-files", "lab/moved", "big.bin")
    assert s.api.list_repo_files("lab/twin", revision="v1") == [".gitattributes", "README.md", "big.bin"]
    s.api.create_commit(MODEL, [CommitOperationCopy("model.safetensors", "again.safetensors")], commit_message="Again")
    s.hf("repos", "delete", "lab/cli", "--yes")
    assert not s.api.repo_exists("lab/cli")


def datasets_loads_and_streams(s: Session) -> None:
    import pyarrow
    import pyarrow.parquet

    for split, rows in TEXTS.items():
        pyarrow.parquet.write_table(pyarrow.table({"text": rows}), s[f"data/data/{split}.parquet"])
    s.api.upload_folder(repo_id=DATA, repo_type="dataset", folder_path=s["data"])
    s.api.create_tag(DATA, tag="v1", repo_type="dataset")
    told = s.python(LOAD)
    assert told["datasets.config_names"] == ["default"]
    assert told["datasets.load_dataset"] == TEXTS
    assert told["datasets.load_dataset(streaming)"] == ["row 10", "row 11", "row 12"]
    assert told["datasets.load_dataset(hf://)"] == ["数据"]
    assert told["Dataset.push_to_hub"] == [1, 2, 3]
    assert s.api.dataset_info("lab/pushed").card_data.dataset_info["splits"][0]["num_examples"] == 3


def transformers_loads_what_it_pushed(s: Session) -> None:
    told = s.python(PUSH)
    assert told["AutoConfig"] == "llama"
    assert told["AutoTokenizer"] == [1, 0, 2]
    assert told["AutoModelForCausalLM"] is True
    assert s.api.model_info("lab/llama").private


STEPS = (
    who_is_there,
    two_repos_are_made,
    files_go_up_and_are_looked_at,
    files_come_down,
    the_file_system_reads_and_writes,
    branches_and_tags_hold_what_they_held,
    a_pull_request_is_talked_over_and_merged,
    a_gate_opens_for_those_who_are_let_in,
    a_large_file_is_deleted_for_good,
    cards_say_what_they_hold,
    a_collection_gathers_the_release,
    the_hf_command_does_the_same,
    datasets_loads_and_streams,
    transformers_loads_what_it_pushed,
)


@pytest.mark.slow
def test_a_session_of_stock_clients_ends_as_it_would_on_the_hub(tmp_path, capfd):
    with running_hub(tmp_path / "root") as hub:
        session = Session(hub, tmp_path / "client")
        for step in STEPS:
            step(session)
        assert sum(session.calls.values()) >= 60, session.calls
        assert len(session.calls) >= 60, session.calls
        tokens = [(tmp_path / "root" / name).read_text().strip() for name in TOKENS]
    log = "".join(capfd.readouterr())
    assert not [token for token in tokens if token in log]
    kept = [path for path in (tmp_path / "root").rglob("*") if path.is_file() and path.name not in TOKENS]
    assert not [path for path in kept if any(token.encode() in path.read_bytes() for token in tokens)]
    print(sum(session.calls.values()), "calls:", json.dumps(session.calls))

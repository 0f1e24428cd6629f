"""What stock clients do in the life of a repository."""

import io
import json
import os
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub import errors as hf

from yulan import digest


def paths(api, repo, **more):
    return sorted(row.path for row in api.list_repo_tree(repo, recursive=True, **more))


def test_a_token_says_who_it_is_and_what_it_may(hub, api):
    assert api.whoami()["auth"]["accessToken"]["role"] == "write"
    assert HfApi(endpoint=hub.url, token=hub.read_token).whoami()["auth"]["accessToken"]["role"] == "read"


def test_a_new_repo_has_one_commit_with_gitattributes(api, repo):
    assert paths(api, repo) == [".gitattributes"]
    assert [row.title for row in api.list_repo_commits(repo)] == ["initial commit"]


def test_a_repo_is_created_once(api, repo):
    with pytest.raises(hf.HfHubHTTPError, match="409"):
        api.create_repo(repo)
    assert api.create_repo(repo, exist_ok=True).repo_id == repo


def test_models_and_datasets_do_not_share_names(api, repo):
    api.create_repo(repo, repo_type="dataset")
    assert api.dataset_info(repo).id == api.model_info(repo).id == repo
    api.delete_repo(repo, repo_type="dataset")
    assert not api.repo_exists(repo, repo_type="dataset")
    assert api.repo_exists(repo)


def test_repos_are_listed_by_author(api, repo):
    assert repo in [row.id for row in api.list_models(author="tests")]
    assert not list(api.list_models(author="nobody"))


def test_a_commit_holds_small_and_large_files(api, repo):
    weights = os.urandom(3000)
    done = api.create_commit(
        repo,
        [CommitOperationAdd("note.txt", b"hello"), CommitOperationAdd("a/w.safetensors", weights)],
        commit_message="Add weights",
        commit_description="of two kinds",
    )
    files = {row.path: row for row in api.get_paths_info(repo, ["note.txt", "a/w.safetensors", "a", "absent"])}
    assert files["note.txt"].blob_id == digest.git_blob(b"hello")
    assert files["note.txt"].lfs is None
    assert files["a/w.safetensors"].lfs.sha256 == digest.of_bytes(weights)
    assert files["a/w.safetensors"].size == 3000
    assert set(files) == {"note.txt", "a/w.safetensors", "a"}
    last = api.list_repo_commits(repo)[0]
    assert (last.commit_id, last.title, last.message) == (done.oid, "Add weights", "of two kinds")


def test_what_a_client_downloads_is_what_another_uploaded(hub, api, repo, tmp_path):
    weights = os.urandom(300_000)
    for number, content in enumerate((b"text", weights)):
        api.upload_file(path_or_fileobj=content, path_in_repo=f"d {number}/f%20#é.bin", repo_id=repo)
    folder = snapshot_download(repo, endpoint=hub.url, token=hub.token, cache_dir=tmp_path)
    assert Path(folder, "d 1/f%20#é.bin").read_bytes() == weights
    assert Path(folder, "d 0/f%20#é.bin").read_bytes() == b"text"


def test_a_binary_file_without_a_known_suffix_goes_to_lfs_and_is_named_in_gitattributes(api, repo):
    api.upload_file(path_or_fileobj=b"\0\1\2", path_in_repo="odd name", repo_id=repo)
    assert api.get_paths_info(repo, "odd name")[0].lfs.size == 3
    with HfFileSystem(endpoint=api.endpoint, token=api.token).open(f"{repo}/.gitattributes") as file:
        assert file.read().endswith(b"\nodd?name filter=lfs diff=lfs merge=lfs -text\n")


def test_an_unchanged_file_makes_no_commit(api, repo):
    first = api.upload_file(path_or_fileobj=b"\0same", path_in_repo="w.bin", repo_id=repo)
    assert api.upload_file(path_or_fileobj=b"\0same", path_in_repo="w.bin", repo_id=repo).oid == first.oid


def test_upload_folder_leaves_out_what_gitignore_names(api, repo, tmp_path):
    for name in ("kept.txt", "dropped.log", "sub/kept.bin", ".gitignore"):
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_bytes(b"*.log\n")
    api.upload_folder(repo_id=repo, folder_path=tmp_path / "up")
    assert paths(api, repo) == [".gitattributes", ".gitignore", "kept.txt", "sub", "sub/kept.bin"]


def test_files_are_copied_and_deleted(api, repo):
    api.create_commit(
        repo,
        [CommitOperationAdd("a.bin", b"\0x"), CommitOperationAdd("b/c.txt", b"c"), CommitOperationAdd("b/d.txt", b"d")],
        commit_message="1",
    )
    api.create_commit(
        repo, [CommitOperationCopy("a.bin", "e.bin"), CommitOperationDelete("b/", is_folder=True)], commit_message="2"
    )
    assert paths(api, repo) == [".gitattributes", "a.bin", "e.bin"]
    api.delete_file("a.bin", repo)
    assert paths(api, repo) == [".gitattributes", "e.bin"]
    with pytest.raises(hf.EntryNotFoundError):
        api.create_commit(repo, [CommitOperationDelete("gone")], commit_message="3")


def test_a_branch_starts_where_it_is_told(api, repo):
    first = api.list_repo_commits(repo)[0].commit_id
    head = api.upload_file(path_or_fileobj=b"1", path_in_repo="one", repo_id=repo).oid
    api.create_branch(repo, branch="phase-01-step-000100")
    api.create_branch(repo, branch="at/first", revision=first)
    heads = {row.name: row.target_commit for row in api.list_repo_refs(repo).branches}
    assert heads == {"main": head, "phase-01-step-000100": head, "at/first": first}
    with pytest.raises(hf.HfHubHTTPError, match="409"):
        api.create_branch(repo, branch="at/first")
    api.delete_branch(repo, branch="at/first")
    with pytest.raises(hf.RevisionNotFoundError):
        api.model_info(repo, revision="at/first")
    with pytest.raises(hf.HfHubHTTPError, match="403"):
        api.delete_branch(repo, branch="main")


def test_an_empty_branch_has_no_file_and_takes_commits_of_its_own(hub, api, repo, ask):
    def branch(**body):
        return ask(
            f"{hub.url}/api/models/{repo}/branch/alone", "POST", json.dumps(body).encode(), Authorization=f"Bearer {hub.token}"
        )[0]

    assert branch(emptyBranch=True) == 200
    assert paths(api, repo, revision="alone") == []
    api.upload_file(path_or_fileobj=b"\0w", path_in_repo="w.safetensors", repo_id=repo, revision="alone")
    assert paths(api, repo, revision="alone") == [".gitattributes", "w.safetensors"]
    assert [row.title for row in api.list_repo_commits(repo, revision="alone")][-1] == "initial commit"
    assert paths(api, repo) == [".gitattributes"]
    assert branch(emptyBranch=True) == 409
    assert branch(emptyBranch=True, overwrite=True) == 200
    assert paths(api, repo, revision="alone") == []
    assert branch(startingPoint="main") == 409
    assert branch(startingPoint="main", overwrite=True) == 200
    assert paths(api, repo, revision="alone") == [".gitattributes"]
    assert branch(startingPoint="absent", overwrite=True) == 404


def test_a_tag_stays_where_it_was_put(hub, api, repo, tmp_path):
    api.upload_file(path_or_fileobj=b"old", path_in_repo="f.txt", repo_id=repo)
    api.create_tag(repo, tag="final")
    api.upload_file(path_or_fileobj=b"new", path_in_repo="f.txt", repo_id=repo)
    got = hf_hub_download(repo, "f.txt", revision="final", endpoint=hub.url, token=hub.token, cache_dir=tmp_path)
    assert Path(got).read_text() == "old"
    with pytest.raises(hf.HfHubHTTPError, match="409"):
        api.create_tag(repo, tag="final")
    api.delete_tag(repo, tag="final")
    api.create_tag(repo, tag="final", revision="main")


def test_last_commits_are_those_that_touched_the_path(api, repo):
    first = api.upload_file(path_or_fileobj=b"1", path_in_repo="a/one", repo_id=repo).oid
    second = api.upload_file(path_or_fileobj=b"2", path_in_repo="b/two", repo_id=repo).oid
    rows = {row.path: row.last_commit.oid for row in api.list_repo_tree(repo, recursive=True, expand=True)}
    assert rows["a"] == rows["a/one"] == first
    assert rows["b"] == rows["b/two"] == second


def test_a_long_tree_comes_in_pages(api, repo):
    api.create_commit(repo, [CommitOperationAdd(f"many/{n:04}", b"") for n in range(1100)], commit_message="many")
    assert len(paths(api, repo)) == 1102
    assert [row.path for row in api.list_repo_tree(repo)] == [".gitattributes", "many"]
    assert len(list(api.list_repo_tree(repo, "many"))) == 1100


def test_a_range_of_a_file_is_read_without_the_rest(hub, api, repo):
    content = os.urandom(2 << 20)
    api.upload_file(path_or_fileobj=content, path_in_repo="big.bin", repo_id=repo)
    files = HfFileSystem(endpoint=hub.url, token=hub.token)
    with files.open(f"{repo}/big.bin", block_size=1 << 16) as file:
        file.seek(1_000_000)
        assert file.read(1000) == content[1_000_000:1_001_000]
    assert files.cat_file(f"{repo}/big.bin", start=-10) == content[-10:]


def test_a_pull_request_flips_main_once_when_it_is_merged(api, repo):
    pull = api.create_pull_request(repo, "Release")
    for n in range(3):
        api.upload_file(path_or_fileobj=f"\0{n}".encode(), path_in_repo=f"{n}.bin", repo_id=repo, revision=pull.git_reference)
    api.upload_file(path_or_fileobj=b"meanwhile", path_in_repo="other.txt", repo_id=repo)
    assert paths(api, repo, revision=pull.git_reference) == [".gitattributes", "0.bin", "1.bin", "2.bin"]
    before = len(api.list_repo_commits(repo))
    api.merge_pull_request(repo, pull.num)
    assert len(api.list_repo_commits(repo)) == before + 1
    assert paths(api, repo) == [".gitattributes", "0.bin", "1.bin", "2.bin", "other.txt"]
    assert api.get_discussion_details(repo, pull.num).status == "merged"
    assert [row.name for row in api.list_repo_refs(repo, include_pull_requests=True).pull_requests] == [str(pull.num)]


def test_a_pull_request_that_clashes_with_main_is_not_merged(api, repo):
    done = api.upload_file(path_or_fileobj=b"theirs", path_in_repo="f.txt", repo_id=repo, create_pr=True)
    head = api.upload_file(path_or_fileobj=b"ours", path_in_repo="f.txt", repo_id=repo).oid
    with pytest.raises(hf.HfHubHTTPError, match="conflicts"):
        api.merge_pull_request(repo, done.pr_num)
    assert api.model_info(repo).sha == head


def test_a_discussion_is_commented_and_closed(api, repo):
    talk = api.create_discussion(repo, "Why")
    api.comment_discussion(repo, talk.num, "because")
    api.change_discussion_status(repo, talk.num, "closed")
    assert [row.title for row in api.get_repo_discussions(repo)] == ["Why"]
    assert [row.type for row in api.get_discussion_details(repo, talk.num).events] == ["comment", "comment", "status-change"]


def test_the_card_is_read_from_the_readme(api, repo):
    api.upload_file(path_or_fileobj=b"---\nlicense: mit\ntags: [x, y]\n---\n# Hi\n", path_in_repo="README.md", repo_id=repo)
    found = api.model_info(repo)
    assert found.card_data.license == "mit"
    assert found.tags == ["x", "y"]
    with pytest.raises(ValueError, match="Invalid"):
        api.create_commit(repo, [CommitOperationAdd("README.md", io.BytesIO(b"---\na: [\n---\n"))], commit_message="bad")


def test_a_collection_gathers_repos_once_each(hub, api, repo):
    shelf = api.create_collection("YuLan nano", namespace="tests", description="of a rehearsal")
    assert api.create_collection("YuLan nano", namespace="tests", exists_ok=True).slug == shelf.slug
    api.add_collection_item(shelf.slug, repo, "model", note="final")
    with pytest.raises(hf.HfHubHTTPError, match="already in the collection"):
        api.add_collection_item(shelf.slug, repo, "model")
    found = api.add_collection_item(shelf.slug, repo, "model", exists_ok=True)
    assert [(item.item_id, item.note) for item in found.items] == [(repo, "final")]
    assert api.update_collection_metadata(shelf.slug, private=True, title="Mine").title == "Mine"
    assert [row.slug for row in api.list_collections(owner="tests")] == [shelf.slug]
    assert not list(HfApi(endpoint=hub.url, token=False).list_collections(owner="tests"))
    api.delete_collection_item(shelf.slug, found.items[0].item_object_id)
    assert api.get_collection(shelf.slug).items == []
    api.delete_collection(shelf.slug)
    with pytest.raises(hf.HfHubHTTPError, match="Collection not found"):
        api.get_collection(shelf.slug)

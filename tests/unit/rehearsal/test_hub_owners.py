"""What owners do to whole repositories, and who else is let in. The session plays what goes well; here is the rest."""

import json

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, HfApi, hf_hub_download
from huggingface_hub import errors as hf

from yulan import digest


def bytes_of(repo: str, name: str) -> bytes:
    """Every repo has its own, since the hub keeps equal bytes once."""
    return f"\0{name} {repo}".encode()


@pytest.fixture
def large(api, repo):
    """A repo with a large file that was replaced, and one that is on a branch only."""
    api.upload_file(path_or_fileobj=bytes_of(repo, "old"), path_in_repo="w.bin", repo_id=repo)
    api.create_branch(repo, branch="side")
    api.upload_file(path_or_fileobj=bytes_of(repo, "side"), path_in_repo="s.bin", repo_id=repo, revision="side")
    api.upload_file(path_or_fileobj=bytes_of(repo, "new"), path_in_repo="w.bin", repo_id=repo)
    return repo


def by_oid(api, repo):
    return {row.file_oid: row for row in api.list_lfs_files(repo)}


def test_a_file_deleted_for_good_is_in_no_commit_and_not_on_the_disk(hub, api, large, ask):
    gone = digest.of_bytes(bytes_of(large, "old"))
    before = [row.title for row in api.list_repo_commits(large)]
    assert set(by_oid(api, large)) == {gone, digest.of_bytes(bytes_of(large, "new")), digest.of_bytes(bytes_of(large, "side"))}
    pinned = api.list_repo_commits(large)[1].commit_id
    api.permanently_delete_lfs_files(large, [by_oid(api, large)[gone]])
    assert set(by_oid(api, large)) == {digest.of_bytes(bytes_of(large, "new")), digest.of_bytes(bytes_of(large, "side"))}
    assert [row.title for row in api.list_repo_commits(large)] == before
    assert not api.revision_exists(large, pinned)
    assert api.list_repo_files(large, revision="side") == [".gitattributes", "s.bin"]
    wanted = json.dumps({"operation": "upload", "objects": [{"oid": gone, "size": len(bytes_of(large, "old"))}]}).encode()
    answer = ask(f"{hub.url}/{large}.git/info/lfs/objects/batch", "POST", wanted, Authorization=f"Bearer {hub.token}")[2]
    assert "upload" in json.loads(answer)["objects"][0]["actions"]


def test_a_file_deleted_under_an_unchanged_history_is_missed(hub, api, large, tmp_path):
    api.permanently_delete_lfs_files(large, [by_oid(api, large)[digest.of_bytes(bytes_of(large, "new"))]], rewrite_history=False)
    assert "w.bin" in api.list_repo_files(large)
    with pytest.raises(hf.EntryNotFoundError):
        hf_hub_download(large, "w.bin", endpoint=hub.url, token=hub.token, cache_dir=tmp_path)


def test_an_object_stays_for_another_repository(hub, api, large, tmp_path):
    api.duplicate_repo(large, f"{large}-twin")
    api.permanently_delete_lfs_files(large, by_oid(api, large).values())
    got = hf_hub_download(f"{large}-twin", "w.bin", endpoint=hub.url, token=hub.token, cache_dir=tmp_path)
    assert digest.of_file(tmp_path.__class__(got)) == digest.of_bytes(bytes_of(large, "new"))
    with pytest.raises(hf.HfHubHTTPError, match="409"):
        api.duplicate_repo(large, f"{large}-twin")
    assert len(api.list_repo_commits(f"{large}-twin", revision="side")) == 3


def test_a_deletion_leaves_pull_requests_that_can_be_merged(api, large):
    done = api.create_commit(large, [CommitOperationAdd("p.txt", b"p")], commit_message="P", create_pr=True)
    api.permanently_delete_lfs_files(large, [by_oid(api, large)[digest.of_bytes(bytes_of(large, "old"))]])
    api.merge_pull_request(large, done.pr_num)
    assert api.list_repo_files(large) == [".gitattributes", "p.txt", "w.bin"]


def test_a_renamed_repository_is_found_under_its_old_name_until_that_is_taken(hub, api, large, tmp_path):
    api.move_repo(large, f"{large}-new")
    assert api.model_info(large).id == f"{large}-new"
    assert hf_hub_download(large, "w.bin", endpoint=hub.url, token=hub.token, cache_dir=tmp_path)
    with pytest.raises(hf.RepositoryNotFoundError):
        api.move_repo(large, f"{large}-newer")
    api.create_repo(large)
    assert api.model_info(large).id == large
    with pytest.raises(hf.HfHubHTTPError, match="A repository of this name exists"):
        api.move_repo(large, f"{large}-new")


def test_large_files_are_copied_between_repositories_without_being_sent(api, repo):
    api.create_repo(f"{repo}-to")
    api.upload_file(path_or_fileobj=b"\0" * 9000, path_in_repo="a.bin", repo_id=repo)
    copy = CommitOperationCopy("a.bin", "b.bin", src_repo_id=repo, src_repo_type="model")
    api.create_commit(f"{repo}-to", [copy], commit_message="Copy")
    assert api.get_paths_info(f"{repo}-to", "b.bin")[0].lfs.sha256 == digest.of_bytes(b"\0" * 9000)


def test_squashing_keeps_the_files_and_forgets_the_way(api, large):
    files = api.list_repo_files(large)
    api.super_squash_history(large, commit_message="All")
    assert [row.title for row in api.list_repo_commits(large)] == ["All"]
    assert api.list_repo_files(large) == files
    with pytest.raises(hf.RevisionNotFoundError):
        api.super_squash_history(large, branch="absent")


def test_who_asks_for_a_gated_repository_waits_where_it_is_manual(hub, api, repo, ask):
    def press(token):
        return ask(f"{hub.url}/{repo}/ask-access", "POST", b"", Authorization=f"Bearer {token}")[0]

    stranger = HfApi(endpoint=hub.url, token=hub.stranger_token)
    assert press(hub.stranger_token) == 400
    with pytest.raises(hf.HfHubHTTPError, match="The repository is not gated"):
        api.grant_access(repo, "stranger")
    api.update_repo_settings(repo, gated="manual")
    assert press(hub.stranger_token) == 200
    with pytest.raises(hf.GatedRepoError, match="not in the authorized list"):
        stranger.auth_check(repo)
    api.accept_access_request(repo, request_id=next(api.list_pending_access_requests(repo)).request_id)
    stranger.auth_check(repo)
    for act, says in (
        (lambda: api.accept_access_request(repo, "stranger"), "The request is accepted already"),
        (lambda: api.grant_access(repo, "stranger"), "The user has access already"),
        (lambda: api.grant_access(repo, "nobody"), "User not found"),
        (lambda: api.reject_access_request(repo, "rehearsal", rejection_reason="x"), "This user did not ask for access"),
    ):
        with pytest.raises(hf.HfHubHTTPError, match=says):
            act()
    api.cancel_access_request(repo, "stranger")
    with pytest.raises(hf.GatedRepoError):
        stranger.auth_check(repo)
    with pytest.raises(hf.HfHubHTTPError, match="403"):
        HfApi(endpoint=hub.url, token=hub.read_token).grant_access(repo, "stranger")
    with pytest.raises(hf.HfHubHTTPError, match="401"):
        HfApi(endpoint=hub.url, token=False).auth_check(repo, write=True)


def test_everybody_who_asks_is_let_in_where_it_is_automatic(hub, api, repo, ask):
    api.update_repo_settings(repo, gated="auto")
    assert ask(f"{hub.url}/{repo}/ask-access", "POST", b"", Authorization=f"Bearer {hub.stranger_token}")[0] == 200
    HfApi(endpoint=hub.url, token=hub.stranger_token).auth_check(repo)


def test_a_repository_without_a_namespace_is_told_as_missing(hub, api, tmp_path):
    with pytest.raises(hf.RepositoryNotFoundError):
        api.model_info("gpt2")
    with pytest.raises(hf.RepositoryNotFoundError):
        hf_hub_download("gpt2", "config.json", endpoint=hub.url, token=False, cache_dir=tmp_path)


def test_listings_come_in_pages(api, repo):
    for n in range(3):
        api.create_repo(f"paged/r{n}-{repo[-6:]}")
    assert [row.id[:8] for row in api.list_models(author="paged", limit=2)] == ["paged/r0", "paged/r1"]
    from huggingface_hub.utils import paginate

    rows = list(paginate(f"{api.endpoint}/api/models", {"author": "paged", "limit": 2}, headers={}))
    assert len(rows) == 3

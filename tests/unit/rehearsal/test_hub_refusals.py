"""What the hub says no to, and what stock clients make of it."""

import json

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
from huggingface_hub import errors as hf


def add():
    return [CommitOperationAdd("f.txt", b"f")]


def test_a_missing_thing_is_named_by_its_kind(hub, api, repo, tmp_path):
    where = {"endpoint": hub.url, "token": hub.token, "cache_dir": tmp_path}
    with pytest.raises(hf.RepositoryNotFoundError):
        hf_hub_download("tests/nothing", "f", **where)
    with pytest.raises(hf.RevisionNotFoundError):
        hf_hub_download(repo, "f", revision="nothing", **where)
    with pytest.raises(hf.EntryNotFoundError):
        hf_hub_download(repo, "nothing", **where)
    with pytest.raises(hf.EntryNotFoundError):
        list(api.list_repo_tree(repo, "nothing"))


def test_a_wrong_token_is_told_from_a_missing_repo(hub, repo, ask):
    with pytest.raises(hf.HfHubHTTPError, match="401") as caught:
        HfApi(endpoint=hub.url, token="hf_wrong").model_info(repo)
    assert not isinstance(caught.value, hf.RepositoryNotFoundError)
    status, headers, _ = ask(f"{hub.url}/api/whoami-v2", Authorization="Bearer hf_wrong")
    assert (status, headers["X-Error-Message"]) == (401, "Invalid credentials in Authorization header")


def test_a_reading_token_cannot_write(hub, api, repo):
    reader = HfApi(endpoint=hub.url, token=hub.read_token)
    for act in (
        lambda: reader.create_repo("tests/by-reader"),
        lambda: reader.create_commit(repo, add(), commit_message="x"),
        lambda: reader.create_branch(repo, branch="b"),
        lambda: reader.create_tag(repo, tag="t"),
        lambda: reader.delete_repo(repo),
        lambda: reader.update_repo_settings(repo, private=True),
    ):
        with pytest.raises(hf.HfHubHTTPError, match="403"):
            act()
    with pytest.raises(hf.HfHubHTTPError, match="401"):
        HfApi(endpoint=hub.url, token=False).create_repo("tests/by-nobody")
    assert api.list_repo_refs(repo).tags == []


def test_a_private_repo_does_not_exist_for_strangers(hub, api, repo):
    api.update_repo_settings(repo, private=True)
    with pytest.raises(hf.RepositoryNotFoundError):
        HfApi(endpoint=hub.url, token=False).model_info(repo)
    assert HfApi(endpoint=hub.url, token=hub.read_token).model_info(repo).private is True
    assert repo not in [row.id for row in HfApi(endpoint=hub.url, token=False).list_models()]


def test_a_gated_repo_shows_its_tree_but_not_its_files(hub, api, repo, tmp_path):
    api.upload_file(path_or_fileobj=b"x", path_in_repo="f.txt", repo_id=repo)
    api.update_repo_settings(repo, gated="auto")
    stranger = HfApi(endpoint=hub.url, token=False)
    assert stranger.model_info(repo).gated == "auto"
    with pytest.raises(hf.GatedRepoError):
        hf_hub_download(repo, "f.txt", endpoint=hub.url, token=False, cache_dir=tmp_path)
    assert hf_hub_download(repo, "f.txt", endpoint=hub.url, token=hub.read_token, cache_dir=tmp_path)


def test_a_stale_parent_is_refused_and_nothing_changes(api, repo):
    seen = api.model_info(repo).sha
    head = api.create_commit(repo, add(), commit_message="first", parent_commit=seen).oid
    with pytest.raises(hf.HfHubHTTPError, match="412"):
        api.create_commit(repo, [CommitOperationAdd("g.txt", b"g")], commit_message="second", parent_commit=seen)
    assert api.model_info(repo).sha == head


def test_commits_go_to_branches_only(api, repo):
    api.create_tag(repo, tag="t")
    with pytest.raises(hf.RevisionNotFoundError):
        api.create_commit(repo, add(), commit_message="x", revision="t")


@pytest.fixture
def commit(hub, repo, ask):
    """Send one operation as a client of our own would, and tell how it was answered."""

    def send(key, **value):
        lines = [{"key": "header", "value": {"summary": "s"}}, {"key": key, "value": value}]
        body = "\n".join(json.dumps(line) for line in lines).encode()
        status, _, data = ask(f"{hub.url}/api/models/{repo}/commit/main", "POST", body, Authorization=f"Bearer {hub.token}")
        return status, json.loads(data).get("error", "")

    return send


@pytest.mark.parametrize("path", ["../out", "a/../../out", "a//b", "a\\b", ".git/config", "a\0b", "a\nb", "", "x" * 1001, "./a"])
def test_a_path_that_could_leave_the_repo_is_refused(commit, api, repo, path):
    status, error = commit("file", path=path, content="", encoding="base64")
    assert status == 400
    assert "Not a legal path" in error
    assert [row.path for row in api.list_repo_tree(repo)] == [".gitattributes"]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("lfsFile", {"path": "w.bin", "algo": "sha256", "oid": "0" * 64, "size": 3}, "w.bin: no bytes with this sha256 and size"),
        ("lfsFile", {"path": "w.bin", "oid": "../../token", "size": 3}, "no bytes with this sha256"),
        ("lfsFile", {"path": "w.bin"}, "oid is missing or not str"),
        ("file", {"path": "f", "content": "%%%", "encoding": "base64"}, "Not base64"),
        ("file", {"path": ".gitattributes/f", "content": ""}, "a file and a folder at once"),
        ("symlink", {"path": "f"}, "Unknown operation"),
        ("file", {"content": ""}, "path is missing or not str"),
    ],
)
def test_a_wrong_operation_is_refused_with_its_reason(commit, key, value, says):
    status, error = commit(key, **value)
    assert status == 400
    assert says in error


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/api/repos/create", b'{"name": "..", "organization": "a"}', 400, "Not a legal repository"),
        ("POST", "/api/repos/create", b'{"name": "b.git", "organization": "a"}', 400, "Not a legal repository"),
        ("POST", "/api/repos/create", b'{"name": "b", "type": "space"}', 400, "Not a legal repository"),
        ("POST", "/api/repos/create", b"[", 400, "The body is not JSON"),
        ("POST", "/api/repos/create", b"[]", 400, "not a JSON object"),
        ("POST", "/api/repos/create", b" " * (16 << 20) + b"{}", 413, "The body is larger than"),
        ("DELETE", "/api/repos/delete", b'{"name": "absent"}', 404, "Repository not found"),
        ("PUT", "{repo}/settings", b'{"gated": "maybe"}', 400, "gated is one of"),
        ("POST", "{repo}/branch/a..b", b"{}", 400, "Not a legal name"),
        ("POST", "{repo}/tag/main", b'{"tag": "/x"}', 400, "Not a legal name"),
        ("DELETE", "{repo}/tag/absent", None, 404, "Reference does not exist"),
        ("POST", "{repo}/commit/main", b"{", 400, "A line of the commit is not JSON"),
        ("POST", "{repo}/commit/main", b"x" * ((20 << 20) + 1), 413, "A line is longer than"),
        ("POST", "{repo}/discussions/7/merge", None, 404, "Discussion 7 does not exist"),
        ("GET", "/api/models/%2e%2e/token", None, 400, "Not a legal repository"),
        ("GET", "/api/models/a%2Fb/c", None, 400, "Not a legal repository"),
        ("POST", "{repo}/discussions", b'{"title": "\\ud800"}', 400, "not valid Unicode"),
        ("POST", "{repo}/paths-info/main", b"paths=%ff\xff", 400, "not valid Unicode"),
        ("GET", "{repo}/tree/main/absent?limit=x&cursor=y", None, 404, "absent does not exist"),
        ("DELETE", "/api/collections/a/b", None, 404, "Collection not found"),
        ("GET", "/token", None, 404, "can't find the page"),
        ("PATCH", "/api/whoami-v2", None, 405, "can't find the page"),
    ],
)
def test_a_bad_request_is_refused_with_its_reason(hub, repo, ask, method, path, body, status, says):
    url = hub.url + path.replace("{repo}", f"/api/models/{repo}")
    got, headers, data = ask(url, method, body, Authorization=f"Bearer {hub.token}")
    assert got == status
    assert says in json.loads(data)["error"]
    assert says in headers["X-Error-Message"]


def test_a_closed_pull_request_is_not_merged_and_a_merged_one_stays(api, repo):
    pull = api.create_pull_request(repo, "One")
    api.change_discussion_status(repo, pull.num, "closed")
    with pytest.raises(hf.HfHubHTTPError, match="not an open pull request"):
        api.merge_pull_request(repo, pull.num)
    api.change_discussion_status(repo, pull.num, "open")
    api.merge_pull_request(repo, pull.num)
    with pytest.raises(hf.HfHubHTTPError, match="cannot become"):
        api.change_discussion_status(repo, pull.num, "open")

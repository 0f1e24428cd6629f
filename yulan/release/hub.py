"""The only road to a hub: what of the client we use, and its refusals as errors that say what to do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationDelete, HfApi, constants, get_token, hf_hub_url, set_client_factory
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (
    build_hf_headers,
    disable_progress_bars,
    get_session,
    hf_raise_for_status,
)
from huggingface_hub.utils._http import default_client_factory

from yulan import digest
from yulan.errors import HubError
from yulan.manifest import File
from yulan.release.hub_refused import Away as Away  # this and the next are what may happen to whoever asks a hub
from yulan.release.hub_refused import NoRange, refusal
from yulan.release.hub_refused import Refused as Refused
from yulan.release.hub_upload import Addition, batches, lfs_only
from yulan.release.names import Repo

SILENCE = 90.0
"""Seconds without a byte after which a hub counts as gone. A hub gives a commit 60 s; the client by itself waits for ever."""
BLOCK = 1 << 20
PATHS = 500
"""Names that are asked for at once."""


class StaleHead(Exception):
    """Somebody committed since the head was read, or our own commit's answer was lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A file as the hub's tree tells it."""

    size: int
    sha256: str | None
    """Of a large file; null: the hub gives only `blob`."""
    blob: str
    """git's id; of a large file, that of its pointer."""

    def differs(self, file: File) -> bool:
        """Whether the listing alone says that these are other bytes; a small file tells no sha256."""
        return self.size != file.size or (self.sha256 is not None and self.sha256 != file.sha256)

    def is_at(self, path: Path) -> bool:
        """Whether a file has these bytes."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        return digest.of_file(path) == self.sha256 if self.sha256 else digest.git_blob(path.read_bytes()) == self.blob

    def holds(self, file: File, path: Path) -> bool:
        """Whether these are the bytes of the local file."""
        if self.size != file.size:
            return False
        return self.sha256 == file.sha256 if self.sha256 else self.blob == digest.git_blob(path.read_bytes())


def token_for(given: str | None) -> str | None:
    """The token to use: HF_TOKEN, the one given, or that of the user's own login."""
    return given or get_token()


class Hub:
    """One hub and one identity."""

    def __init__(self, endpoint: str | None, token: str | None) -> None:
        disable_progress_bars()
        set_client_factory(_client)
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        self.token = token
        self.api = HfApi(endpoint=self.endpoint, token=token or False)
        self._first: dict[Repo, str] = {}
        """First commits."""

    def who(self) -> str:
        """The token's owner.

        Raises: HubError: the hub does not answer or does not know the token.
        """
        if not self.token:
            raise HubError("no token", where=self.endpoint, cure="Set HF_TOKEN, give --token-file, or run: hf auth login")
        with self._told():
            return str(self.api.whoami()["name"])

    def create(self, repo: Repo, *, private: bool = False) -> None:
        """One that is there stays as it is."""
        with self._told(repo):
            self.api.create_repo(repo.id, repo_type=repo.kind, exist_ok=True, private=private or None)

    def collect(self, slug: str, repos: Iterable[Repo]) -> None:
        """Put the repositories into a collection; those that are in it stay where they are."""
        for repo in repos:
            with self._told(repo, slug):
                self.api.add_collection_item(slug, repo.id, "dataset" if repo.kind == "dataset" else "model", exists_ok=True)

    def refs(self, repo: Repo) -> tuple[dict[str, str], dict[str, str]]:
        """(branches, tags), each by name with its commit."""
        with self._told(repo):
            found = self.api.list_repo_refs(repo.id, repo_type=repo.kind)
        return {b.name: b.target_commit for b in found.branches}, {t.name: t.target_commit for t in found.tags}

    def commit_of(self, repo: Repo, revision: str) -> str:
        """The commit that a branch or tag names now; everything after is asked by commit, so that it cannot move."""
        with self._told(repo, revision):
            return str(self.api.repo_info(repo.id, repo_type=repo.kind, revision=revision).sha)

    def tree(self, repo: Repo, commit: str) -> dict[str, Remote]:
        with self._told(repo, commit):
            entries = list(self.api.list_repo_tree(repo.id, recursive=True, revision=commit, repo_type=repo.kind))
        return remotes(entries)

    def find(self, repo: Repo, commit: str, names: Sequence[str]) -> dict[str, Remote]:
        """Those of the named files that a commit has; the whole tree of a large repository is not asked for."""
        found: dict[str, Remote] = {}
        with self._told(repo, commit):
            for start in range(0, len(names), PATHS):
                some = list(names[start : start + PATHS])
                found |= remotes(self.api.get_paths_info(repo.id, some, revision=commit, repo_type=repo.kind))
        return found

    def branch(self, repo: Repo, name: str) -> None:
        """A branch without files. Where the hub ignores `emptyBranch`, it starts at the repository's first commit,
        never at main: a failed upload would then serve main's weights under another label."""
        with self._told(repo, name):
            if repo not in self._first:
                self._first[repo] = self.api.list_repo_commits(repo.id, repo_type=repo.kind)[-1].commit_id
            # The Python client sends only startingPoint; the official JavaScript one sends these too.
            answer = get_session().post(
                f"{self.endpoint}/api/{repo.kind}s/{repo.id}/branch/{name}",
                headers=build_hf_headers(token=self.token or False),
                json={"startingPoint": self._first[repo], "emptyBranch": True},
            )
            hf_raise_for_status(answer)

    def upload(self, repo: Repo, revision: str, operations: list[Addition]) -> Iterator[int]:
        """Send the large ones among the files, batch by batch; what the hub has, by sha256, is not sent. Yields: the bytes of
        each batch that is there now.

        Interrupted, what was sent stays: the next try finds it.
        """
        for batch in batches(operations):
            with self._told(repo, revision), lfs_only():
                self.api.preupload_lfs_files(
                    repo.id, batch, repo_type=repo.kind, revision=revision, num_threads=4, free_memory=False
                )
            yield sum(operation.upload_info.size for operation in batch)

    def commit(
        self, repo: Repo, revision: str, head: str, additions: list[Addition], deletions: Iterable[str], message: str
    ) -> None:
        """One commit on top of `head`, or none.

        Raises: StaleHead: 412, or the answer was lost: read the head again and compare.
        """
        operations = [*additions, *(CommitOperationDelete(path_in_repo=name, is_folder=False) for name in deletions)]
        try:
            with lfs_only():
                self.api.create_commit(
                    repo.id, operations, commit_message=message, repo_type=repo.kind, revision=revision, parent_commit=head
                )
        except HfHubHTTPError as error:
            if error.response.status_code in {412, 500, 502, 503, 504}:
                raise StaleHead from error
            raise self._said(error, repo, revision) from error
        except HTTPError as error:
            raise StaleHead from error

    def tag(self, repo: Repo, name: str, commit: str) -> None:
        with self._told(repo, name):
            self.api.create_tag(repo.id, tag=name, revision=commit, repo_type=repo.kind)

    def untag(self, repo: Repo, name: str) -> None:
        with self._told(repo, name):
            self.api.delete_tag(repo.id, tag=name, repo_type=repo.kind)

    def read(self, repo: Repo, commit: str, name: str, start: int = 0) -> Iterator[bytes]:
        """A file's bytes from `start` on, as they come."""
        url = hf_hub_url(repo.id, name, repo_type=repo.kind, revision=commit, endpoint=self.endpoint)
        headers = build_hf_headers(token=self.token or False) | {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with self._told(repo, name), _stream(url, headers) as answer:
            hf_raise_for_status(answer)
            if start and answer.status_code != 206:
                raise NoRange("the hub cannot go on in the middle of a file", where=name, cure="Fetch it from its start")
            # As they come: a connection that is too slow shows in time.
            yield from answer.iter_raw()

    def part(self, repo: Repo, commit: str, name: str, start: int, length: int) -> bytes:
        """A range of a file. A hub that ignores the range is not read beyond it."""
        url = hf_hub_url(repo.id, name, repo_type=repo.kind, revision=commit, endpoint=self.endpoint)
        headers = build_hf_headers(token=self.token or False) | {"Accept-Encoding": "identity"}
        headers["Range"] = f"bytes={start}-{start + length - 1}"
        found = bytearray()
        with self._told(repo, name), _stream(url, headers) as answer:
            hf_raise_for_status(answer)
            skip = start if answer.status_code == 200 else 0
            for block in answer.iter_raw(BLOCK):
                found += block
                if len(found) >= skip + length:
                    break
        return bytes(found[skip : skip + length])

    @contextmanager
    def asked(self, repo: Repo, path: str) -> Iterator[Any]:
        """What the hub's own interface answers about a repository, to be read as it comes: `refs`, `tree/REV?recursive=true`."""
        url = f"{self.endpoint}/api/{repo.kind}s/{repo.id}/{path}"
        headers = build_hf_headers(token=self.token or False)
        with self._told(repo, path), get_session().stream("GET", url, headers=headers, follow_redirects=True) as answer:
            hf_raise_for_status(answer)
            yield answer

    @contextmanager
    def _told(self, repo: Repo | None = None, what: str | None = None) -> Iterator[None]:
        """The client's exceptions as ours."""
        try:
            yield
        except HfHubHTTPError as error:
            raise self._said(error, repo, what) from error
        except (HTTPError, OSError, RuntimeError) as error:
            # A failed upload reaches us as RuntimeError around the transport's own.
            inner = error.__cause__ if isinstance(error, RuntimeError) else error
            if inner is None:
                raise
            if isinstance(inner, HfHubHTTPError):
                raise self._said(inner, repo, what, [str(error)]) from error
            raise Away(
                f"the hub does not answer ({inner.__class__.__name__})",
                where=self.endpoint,
                cure="Check the address and that it runs, then run the same command again",
            ) from error

    def _said(self, error: HfHubHTTPError, repo: Repo | None, what: str | None, evidence: Sequence[str] = ()) -> HubError:
        """A refusal in words; `evidence` names the file it is about."""
        place = f"{repo or self.endpoint}" + (f"@{what}" if repo and what else "")
        said = error.server_message or error.response.headers.get("X-Error-Message")
        rows = [*evidence, *([said] if said else [])]
        return refusal(error.response.status_code, error.response.headers, place, rows)


def _stream(url: str, headers: Mapping[str, str]) -> AbstractContextManager[Any]:
    # The client's session knows no timeout by itself: a silent hub would be waited for without end.
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    return get_session().stream("GET", url, headers=dict(headers), follow_redirects=True, timeout=timeout)


def _client() -> Any:
    """The stock client, but for its patience."""
    client = default_client_factory()
    client.timeout = SILENCE
    return client


def remotes(entries: Iterable[object]) -> dict[str, Remote]:
    """The files among a tree's entries."""
    return {
        e.path: Remote(size=e.size, sha256=e.lfs.sha256 if e.lfs else None, blob=e.blob_id)
        for e in entries
        if isinstance(e, RepoFile)
    }

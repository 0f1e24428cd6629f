"""What a release may not say: a provenance, a lock or records that lead elsewhere are refused before anything is fetched."""

from pathlib import Path

import pytest

from tests.unit.release.kit import NAME
from yulan import files
from yulan.errors import HubError, IntegrityError
from yulan.release.hub import Hub
from yulan.release.names import parse
from yulan.release.pull import Offer
from yulan.release.restore import published
from yulan.release.restore.lock import read_lock
from yulan.release.restore.published import Published


def test_a_release_without_records_or_with_strange_ones_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    address = parse(f"hf://{NAME}-states")
    bare = Offer(repo=address.repo, commit="0" * 40, raw={}, lists={}, files={}, tree={})
    monkeypatch.setattr(published, "offer", lambda *_, **__: bare)
    hub = Hub("http://127.0.0.1:9", None)
    with pytest.raises(HubError, match="the release has no records"):
        published.find(hub, address, tmp_path, print)
    told = {"name": NAME, "recipe": "tiny", "commit": "0" * 40, "signed": None, "work": tmp_path}
    with pytest.raises(HubError, match=r"the release has no records/dvc\.lock"):
        Published(hub=hub, offers={"states/main": bare}, spots={}, **told).read("records/dvc.lock")
    for subjects in ({"name": "model/../main"}, {"name": "code/main"}):
        with pytest.raises(IntegrityError, match=r"provenance\.json names the revision"):
            published._keys({subjects["name"]: "0" * 64}, address)
    definition = {"externalParameters": {"recipe": "tiny"}, "resolvedDependencies": [{"digest": {"gitCommit": "0" * 40}}]}
    whole = {"subject": [{"name": "states/main", "digest": {"sha256": "1"}}], "predicate": {"buildDefinition": definition}}
    assert published._read(whole, address) == ({"states/main": "1"}, "tiny", "0" * 40)
    for told in ({}, [], whole | {"subject": []}, whole | {"predicate": {"buildDefinition": {}}}):
        with pytest.raises(IntegrityError, match=r"provenance\.json is no provenance of a release"):
            published._read(told, address)


@pytest.mark.parametrize(
    ("path", "md5"),
    [
        ("artifacts/tiny/../../.bashrc", "0" * 32),
        ("artifacts/tiny/shards/data", "../../../x"),
        ("artifacts/tiny/mix/data", "0" * 32),
    ],
)
def test_a_lock_that_leads_elsewhere_is_refused(tmp_path: Path, path: str, md5: str):
    lock = files.write_text(tmp_path / "dvc.lock", f"stages: {{shards: {{outs: [{{path: '{path}', md5: '{md5}', size: 1}}]}}}}\n")
    with pytest.raises(IntegrityError, match=r"is no dvc\.lock of the recipe tiny"):
        read_lock(lock, "tiny")

"""A release outlives its hub: its lists come from elsewhere, as they were signed, or not at all."""

import shutil
from pathlib import Path

import pytest

from tests.unit.release.conftest import make_layout
from tests.unit.release.kit import FINAL, NAME, STABLE, contents, go
from tests.unit.release.road import Rule, road_to
from yulan.errors import HubError, StateError
from yulan.rehearsal import Hub as Served
from yulan.release.hub import Hub
from yulan.release.locations import Locations
from yulan.release.names import parse
from yulan.release.pull import Pulled, pull
from yulan.release.trust import Trust, load_trust, new_key
from yulan.release.withdraw import Editor

DEAD = "http://127.0.0.1:9"


@pytest.fixture
def kept(tmp_path: Path, hub: Served) -> tuple[Path, Trust]:
    """The final's and the stable branch's folders as they were pulled while the hub was there; both branches signed."""
    new_key(tmp_path / "key")
    go(make_layout(tmp_path / "clone"), hub, key=tmp_path / "key")
    trust = load_trust(tmp_path / "key.pub")
    for branch in (FINAL, STABLE):
        pull(Hub(hub.url, None), parse(f"hf://{NAME}@{branch}"), tmp_path / "kept" / branch, None, lambda _: None, trust)
    return tmp_path / "kept", trust


def fetch(hub: str, address: str, into: Path, trust: Trust | None, *folders: Path | str, say=lambda _: None, **more) -> Pulled:
    locations = Locations(format=1, files={}, folders=tuple(f"{folder}/" for folder in folders))
    return pull(Hub(hub, None), parse(address), into, None, say, trust, locations=locations, **more)


def test_a_folder_that_was_kept_is_pulled_from_when_the_hub_is_dead(kept: tuple[Path, Trust], tmp_path: Path):
    folder, trust = kept
    said: list[str] = []
    done = fetch(DEAD, f"hf://{NAME}@{FINAL}", tmp_path / "it", trust, "/not/there", folder / FINAL, say=said.append)
    assert contents(tmp_path / "it") == contents(folder / FINAL)
    assert done.signed is not None
    assert done.signed.subject == f"{NAME}@{FINAL}"
    assert any("the hub does not answer" in line and "a withdrawal after that would not show" in line for line in said)


def test_another_hub_serves_it_when_its_own_has_lost_the_repository(kept: tuple[Path, Trust], hub: Served, tmp_path: Path):
    folder, trust = kept
    with road_to(hub.url) as lost:
        lost.rules.append(Rule(part="/api/", status=404))
        fetch(lost.url, f"hf://{NAME}@{FINAL}", tmp_path / "it", trust, f"{hub.url}/{NAME}/resolve/{FINAL}")
    assert contents(tmp_path / "it") == contents(folder / FINAL)


def test_without_a_key_another_address_has_no_say_in_what_a_release_is(kept: tuple[Path, Trust], tmp_path: Path, monkeypatch):
    monkeypatch.setattr("yulan.release.pull.FIRST_CONTACT", 0.0)
    with pytest.raises(HubError, match="the hub does not answer"):
        fetch(DEAD, f"hf://{NAME}@{FINAL}", tmp_path / "it", None, kept[0] / FINAL)


def rename(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("tiny", "tony"))


def swap(folder: Path) -> None:
    for path in (folder.parent / STABLE).iterdir():
        shutil.copy(path, folder)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "model.sig").unlink(), "model.sig is missing: nobody signed it"),
        (lambda folder: (folder / "manifest.json").unlink(), "no manifest.json"),
        (rename, "model.sig was made over other bytes"),
        (swap, f"was signed as {NAME}@{STABLE}"),
    ],
)
def test_lists_that_are_not_as_they_were_signed_are_refused(kept: tuple[Path, Trust], tmp_path: Path, spoil, told: str):
    folder, trust = kept
    spoil(folder / FINAL)
    with pytest.raises(HubError, match="no address has its lists as they were signed") as caught:
        fetch(DEAD, f"hf://{NAME}@{FINAL}", tmp_path / "it", trust, folder / FINAL)
    assert caught.value.evidence == (f"{folder / FINAL}/: {told}",)


def test_a_file_that_is_not_as_listed_is_refused(kept: tuple[Path, Trust], tmp_path: Path):
    folder, trust = kept
    (folder / FINAL / "config.json").write_text("[]\n")
    with pytest.raises(HubError, match=r"config.json: .* sent other bytes than listed"):
        fetch(DEAD, f"hf://{NAME}@{FINAL}", tmp_path / "it", trust, folder / FINAL)
    assert not (tmp_path / "it").exists()


def test_only_a_branch_has_a_name_that_was_signed(kept: tuple[Path, Trust], tmp_path: Path):
    with pytest.raises(StateError, match="only a branch can be had without its hub"):
        fetch(DEAD, f"hf://{NAME}@final", tmp_path / "it", kept[1], kept[0] / FINAL)


def test_a_withdrawal_that_the_other_address_knows_of_holds_there_too(kept: tuple[Path, Trust], hub: Served, tmp_path: Path):
    _, trust = kept
    edit = Editor(hub=Hub(hub.url, hub.token), name=NAME, key=tmp_path / "key", say=lambda _: None)
    edit.withdraw(FINAL, "wrong mix", None)
    base = f"{hub.url}/{NAME}/resolve/{FINAL}"
    with pytest.raises(StateError, match="wrong mix"):
        fetch(DEAD, f"hf://{NAME}@{FINAL}", tmp_path / "it", trust, base)
    fetch(DEAD, f"hf://{NAME}@{FINAL}", tmp_path / "it", trust, base, force=True)


def test_a_folder_whose_card_was_corrected_since_is_the_same_revision_still(
    kept: tuple[Path, Trust], hub: Served, tmp_path: Path
):
    folder, trust = kept
    edit = Editor(hub=Hub(hub.url, hub.token), name=NAME, key=tmp_path / "key", say=lambda _: None)
    edit.erratum(FINAL, "3 layers")
    before, said = contents(folder / FINAL), []
    assert fetch(hub.url, f"hf://{NAME}@{FINAL}", folder / FINAL, trust, say=said.append).fetched == 0
    assert contents(folder / FINAL) == before
    assert "with the card that it was pulled with" in said[-1]
    pull(Hub(hub.url, None), parse(f"hf://{NAME}@{FINAL}"), tmp_path / "card", "card", lambda _: None, trust)
    assert "3 layers" in (tmp_path / "card" / "README.md").read_text()
    (folder / FINAL / "config.json").write_text("mine")
    with pytest.raises(StateError, match="something else stands there"):
        fetch(hub.url, f"hf://{NAME}@{FINAL}", folder / FINAL, trust)

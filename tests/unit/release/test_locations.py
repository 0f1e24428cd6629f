"""When one address fails the next one serves, and which one it was is told."""

import json
import shutil
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.release.kit import contents
from tests.unit.release.pull_kit import BASE, NAME, WEIGHTS, fetch
from tests.unit.release.road import Road, Rule, road_to
from yulan import manifest
from yulan.cli import main
from yulan.errors import HubError
from yulan.rehearsal import Hub as Served
from yulan.release import bring as bringing
from yulan.release import place
from yulan.release.locations import Locations
from yulan.release.verify import verify_folder


def elsewhere(*folders: str, **of: tuple[str, ...]) -> Locations:
    return Locations(format=1, files=of, folders=folders)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Rule(part="", status=404), "answers 404"),
        (Rule(part="", status=503), "answers 503"),
        (Rule(part="", flip=1 << 20), "sent other bytes than listed"),
        (Rule(part="", cut=1 << 20), "ended in the middle of a file"),
        (Rule(part="", cut=1 << 20, whole=True), "ended in the middle of a file"),
    ],
)  # fmt: skip
def test_when_the_first_address_fails_the_next_serves_and_is_named(
    home: tuple[Served, Path], road: Road, tmp_path: Path, fault: Rule, told: str
):
    _, original = home
    with road_to(home[0].url) as bad:
        bad.rules.append(fault)
        road.rules.append(Rule(part="/resolve/"))
        said: list[str] = []
        locations = elsewhere(bad.url + BASE, f"{home[0].url}{BASE}")
        done = fetch(road.url, tmp_path / "it", locations=locations, say=said.append)
        assert contents(tmp_path / "it") == contents(original)
        assert any(WEIGHTS in line and bad.url in line and told in line for line in said)
        assert done.served[home[0].url] >= 2
        assert not road.of(WEIGHTS), "the hub is the last to be asked"
        mirrored = [row.start for row in bad.of(WEIGHTS)]
        assert mirrored == [0]


def test_dead_silent_and_slow_addresses_are_left_for_the_next(
    home: tuple[Served, Path], road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(place, "TIMEOUT", 0.6)
    monkeypatch.setattr(bringing, "WATCHED", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, road_to(home[0].url) as slow:
        slow.rules.append(Rule(part="", pace=100_000))
        monkeypatch.setattr(bringing, "SLOW", 1 << 20)
        said: list[str] = []
        addresses = [f"http://127.0.0.1:9{BASE}", f"http://127.0.0.1:{silent.getsockname()[1]}{BASE}", f"{slow.url}{BASE}"]
        done = fetch(road.url, tmp_path / "it", locations=elsewhere(*addresses), say=said.append)
    assert verify_folder(tmp_path / "it")
    assert done.served["the hub"] >= 2
    for reason in ("does not answer (ConnectionRefusedError)", "does not answer (TimeoutError)", f"{slow.url} is too slow"):
        assert any(WEIGHTS in line and reason in line for line in said), reason
    assert 0 < road.of(WEIGHTS)[0].start <= slow.of(WEIGHTS)[0].size, "the hub goes on where the slow one was left"


def test_a_folder_of_this_machine_and_single_files_by_their_digest_serve_too(
    home: tuple[Served, Path], road: Road, tmp_path: Path
):
    _, original = home
    copy = tmp_path / "a copy, 复本"
    shutil.copytree(original, copy)
    (copy / "config.json").write_text("{ }\n")
    shard = {file.path: file.sha256 for file in manifest.read(original / "manifest.json").files}[WEIGHTS]
    lone = tmp_path / "weights"
    lone.write_bytes((copy / WEIGHTS).read_bytes())
    (copy / WEIGHTS).unlink()
    listed = tmp_path / "locations.json"
    listed.write_text(
        json.dumps({"format": 1, "files": {shard: ["/not/there", lone.as_uri()]}, "folders": [f"{copy}/", copy.as_uri() + "/"]})
    )
    words = ["pull", f"hf://{NAME}", "--from", road.url, "--into", str(tmp_path / "it"), "--locations", str(listed)]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, done.exception) == (0, None)
    assert contents(tmp_path / "it") == contents(original)
    assert not road.of("model-0000")
    assert f"1 files from {lone.as_uri()}" in done.stderr
    assert "1 files from the hub" in done.stderr
    assert f"config.json: {copy}/ sent more bytes than listed" in done.stderr


def test_when_nobody_has_a_file_each_address_is_told_with_its_reason(
    home: tuple[Served, Path], road: Road, tmp_path: Path, at_once: None
):
    road.rules.append(Rule(part=WEIGHTS, flip=5))
    gone = f"{home[0].url}/{NAME}/resolve/elsewhere/"
    with pytest.raises(HubError, match=f"{WEIGHTS}: the hub sent other bytes than listed") as caught:
        fetch(road.url, tmp_path / "it", locations=elsewhere(gone))
    assert f"{home[0].url}: answers 404" in caught.value.evidence
    assert not (tmp_path / "it").exists()
    assert not (tmp_path / "it.partial" / WEIGHTS).exists()


def test_the_hubs_token_goes_to_the_hub_alone(home: tuple[Served, Path], road: Road, tmp_path: Path):
    served, _ = home
    with road_to(served.url) as mirror:
        others = elsewhere(f"{mirror.url}{BASE}")
        mirror.rules.append(Rule(part=WEIGHTS, status=404))
        fetch(road.url, tmp_path / "it", locations=others, token=served.read_token)
        assert mirror.sent
        assert not [row for row in mirror.sent if "authorization" in {name.lower() for name in row.headers}]
    assert [row for row in road.of(WEIGHTS) if "authorization" in {name.lower() for name in row.headers}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"format": 1, "files": {}, "folders": ["ftp://x/"]}', "does not match"),
        ('{"format": 1, "files": {}, "folders": ["https://x/y"]}', "does not match"),
        ('{"format": 1, "files": {}, "folders": ["../"]}', "does not match"),
        ('{"format": 1, "files": {"12": ["https://x/y"]}, "folders": []}', "is not allowed"),
        ('{"format": 1, "files": {}}', "missing key"),
        ("[", "not JSON"),
    ],
)  # fmt: skip
def test_a_list_of_addresses_that_is_none_is_refused(home: tuple[Served, Path], tmp_path: Path, text: str, told: str):
    (tmp_path / "locations.json").write_text(text)
    words = ["pull", f"hf://{NAME}", "--from", home[0].url, "--locations", str(tmp_path / "locations.json")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 4
    assert told in done.stderr

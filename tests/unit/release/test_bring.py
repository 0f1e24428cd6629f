"""One file: asked for again while that may help, held against what was listed, and its progress told."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.release.kit import contents
from tests.unit.release.pull_kit import NAME, WEIGHTS, fetch
from tests.unit.release.road import Road, Rule
from yulan import digest
from yulan.errors import HubError
from yulan.rehearsal import Hub as Served
from yulan.release import bring as bringing
from yulan.release import progress
from yulan.release.bring import bring
from yulan.release.hub import Hub, Remote
from yulan.release.hub_refused import Away, NoRange
from yulan.release.names import parse
from yulan.release.place import Place


def test_a_busy_hub_is_asked_again_when_it_says(road: Road, tmp_path: Path, at_once: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bringing, "PATIENCE", 2.5)
    road.rules += [
        Rule(part=WEIGHTS, status=429, headers={"Retry-After": "1"}, times=1),
        Rule(part="merges.txt", status=503, times=2),
    ]
    began = time.monotonic()
    fetch(road.url, tmp_path / "it")
    assert time.monotonic() - began >= 1
    assert len(road.of(WEIGHTS)) == 2
    assert len(road.of("merges.txt")) == 3


def test_a_hub_that_stays_busy_or_asks_for_a_day_is_left(road: Road, tmp_path: Path, at_once: None):
    road.rules.append(Rule(part=WEIGHTS, status=500))
    with pytest.raises(HubError, match="the hub answered 500"):
        fetch(road.url, tmp_path / "it")
    assert len(road.of(WEIGHTS)) == 4
    road.rules[:] = [Rule(part=WEIGHTS, status=429, headers={"Retry-After": "86400"})]
    with pytest.raises(HubError, match="asks to slow down"):
        fetch(road.url, tmp_path / "it")
    assert len(road.of(WEIGHTS)) == 5
    assert not (tmp_path / "it").exists()


def test_a_connection_that_is_cut_again_and_again_is_gone_on_with_as_long_as_bytes_come(
    home: tuple[Served, Path], road: Road, tmp_path: Path, at_once: None
):
    road.rules.append(Rule(part=WEIGHTS, cut=200_000))
    done = fetch(road.url, tmp_path / "it")
    starts = [row.start for row in road.of(WEIGHTS)]
    assert len(starts) > 10
    assert starts == sorted(set(starts))
    assert done.fetched == sum(
        len(data) for name, data in contents(home[1]).items() if name not in {"manifest.json", "card.json"}
    )


def test_a_small_file_is_held_against_gits_id(tmp_path: Path):
    remote = Remote(size=6, sha256=None, blob=digest.git_blob(b"hello\n"))
    assert bring([Place(name="here", read=lambda start: iter([b"hel", b"lo\n"]))], "x", remote, tmp_path / "x").wire == 6
    assert bring([], "x", remote, tmp_path / "x").wire == 0
    with pytest.raises(HubError, match="here sent other bytes than listed"):
        bring([Place(name="here", read=lambda start: iter([b"jello\n"]))], "y", remote, tmp_path / "y")
    with pytest.raises(HubError, match="here sent more bytes than listed"):
        bring([Place(name="here", read=lambda start: iter([b"hello\n\n"]))], "z", remote, tmp_path / "z")


def test_a_place_without_ranges_keeps_what_is_there_for_one_that_has_them(tmp_path: Path):
    data = os.urandom(1000)
    remote = Remote(size=1000, sha256=digest.of_bytes(data), blob="")
    (tmp_path / "x.partial").write_bytes(data[:600])

    def plain(start: int) -> Iterator[bytes]:
        if start:
            raise NoRange("sends files from their start only", where="x", cure="y")
        yield data

    made = bring(
        [Place(name="plain", read=plain), Place(name="ranges", read=lambda start: iter([data[start:]]))],
        "x", remote, tmp_path / "x",
    )  # fmt: skip
    assert (made.place, made.wire) == ("ranges", 400)
    (tmp_path / "y.partial").write_bytes(data[:600])
    assert bring([Place(name="plain", read=plain)], "y", remote, tmp_path / "y").wire == 1000


def test_a_hub_says_when_it_cannot_go_on_in_the_middle(home: tuple[Served, Path], road: Road):
    road.rules.append(Rule(part=WEIGHTS, whole=True))
    asked, repo = Hub(road.url, None), parse(f"hf://{NAME}").repo
    with pytest.raises(NoRange, match="cannot go on in the middle of a file"):
        next(asked.read(repo, "main", WEIGHTS, 5))
    road.rules[:] = [Rule(part=WEIGHTS, status=429, headers={"Retry-After": "7"})]
    with pytest.raises(Away) as caught:
        next(asked.read(repo, "main", WEIGHTS))
    assert caught.value.pause == 7


def test_the_lists_of_a_hub_that_is_away_for_a_moment_are_asked_for_again(road: Road, tmp_path: Path):
    road.rules.append(Rule(part="/revision/main", status=503, times=1))
    said: list[str] = []
    fetch(road.url, tmp_path / "it", say=said.append)
    assert any("the hub answered 503; trying again in 1 s" in line for line in said)


def test_progress_counts_what_is_still_to_come(
    home: tuple[Served, Path], road: Road, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    (tmp_path / "it.partial").mkdir()
    shutil.copy(home[1] / WEIGHTS, tmp_path / "it.partial" / WEIGHTS)
    said: list[str] = []
    done = fetch(road.url, tmp_path / "it", say=said.append)
    lines = [line for line in said if "MB/s" in line]
    assert lines[-1].startswith(f"hf://{NAME}@main: {done.fetched:,} of {done.fetched:,} bytes, ")
    assert lines[-1].endswith(", 0 s left")
    assert "bytes are as listed" in said[-1]

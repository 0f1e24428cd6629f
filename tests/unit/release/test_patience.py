"""A hub that is away for a while is waited for, and how far a transfer is is said on the way."""

import time
from dataclasses import replace

import pytest

from tests.unit.release.faulty import Answer, Forward, faulty, on, once, says
from tests.unit.release.kit import NAME, go
from yulan.errors import HubError
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.release.hub import Away
from yulan.release.patience import persist
from yulan.release.progress import EVERY, Progress, duration


def away(times: int, pause: float | None = None, error: type[HubError] = Away):
    """Work that fails so often before it is done."""
    left = [times]

    def work() -> str:
        if not left[0]:
            return "done"
        left[0] -= 1
        failed = error("the hub does not answer", where="hub", cure="Wait")
        if isinstance(failed, Away):
            failed.pause = pause
        raise failed

    return work


def test_pauses_grow_and_end_at_a_minute():
    pauses: list[float] = []
    assert persist(away(8), lambda _: None, 900, pauses.append) == "done"
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_hub_that_asks_for_more_gets_it():
    pauses: list[float] = []
    said: list[str] = []
    assert persist(away(2, pause=300), said.append, 900, pauses.append) == "done"
    assert pauses == [300, 300]
    assert said[0] == "hub: the hub does not answer; trying again in 5 min 0 s"


def test_patience_ends():
    pauses: list[float] = []
    with pytest.raises(HubError, match="the hub does not answer"):
        persist(away(9), lambda _: None, 20, pauses.append)
    assert sum(pauses) <= 20


def test_a_refusal_is_not_asked_again():
    with pytest.raises(HubError):
        persist(away(1, error=HubError), lambda _: None, 900, lambda _: pytest.fail("it waits"))


def test_a_line_tells_bytes_rate_and_the_time_left():
    now, said = [0.0], []
    progress = Progress("repo@main", 100_000_000, said.append, lambda: now[0])
    for second in range(11):
        now[0] = float(second)
        progress.add(2_000_000)
    assert EVERY == 5
    assert said == [
        "repo@main: 12,000,000 of 100,000,000 bytes, 2.4 MB/s, 37 s left",
        "repo@main: 22,000,000 of 100,000,000 bytes, 2.2 MB/s, 35 s left",
    ]


def test_durations_are_written_as_people_say_them():
    assert [duration(each) for each in (0.4, 59, 425, 12_000)] == ["0 s", "59 s", "7 min 5 s", "3 h 20 min"]


@pytest.mark.slow
def test_a_hub_that_says_how_long_to_wait_is_obeyed(layout: Layout, hub: Served):
    commits: list[float] = []

    def limited(forward: Forward) -> Answer:
        return 429, {"ratelimit": '"api";r=0;t=3', "content-type": "application/json"}, b"{}"

    with faulty(hub) as road:
        road.faults += [on("POST", "/commit/main", lambda forward: commits.append(time.monotonic()))]  # type: ignore[arg-type]
        road.faults += [once(on("POST", f"/api/models/{NAME}/commit/main", limited))]
        said = go(layout, replace(hub, url=road.url), patience=60)
    assert any("asks to slow down (429); trying again in 3 s" in line for line in said)
    assert commits[-1] - commits[-2] >= 3


@pytest.mark.slow
def test_an_upload_that_is_refused_names_its_file(layout: Layout, hub: Served):
    with faulty(hub) as road:
        road.faults.append(once(on("PUT", "/lfs/", says(403))))
        with pytest.raises(HubError, match="may not write there") as told:
            go(layout, replace(hub, url=road.url))
    assert any("packs/pieces.bin" in row for row in told.value.evidence)

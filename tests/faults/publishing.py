"""A publication that is killed, or whose hub fails: main and tags are the old or the new release, and a rerun ends it."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, close_session

from tests.faults.rows import Trial, require, row
from tests.unit.release.faulty import GONE, Answer, Fault, Forward, lost, on, once, says
from tests.unit.release.kit import NAME
from tests.unit.release.publisher import Scene, prepare, scene
from yulan.errors import HubError
from yulan.release import hub as hub_module
from yulan.release.names import repo

KILLS = 66
CALLS = {False: 91, True: 104}
"""Requests of a publication onto an empty hub, and of one that replaces another; they are a few more."""


def stage(trial: Trial, *, again: bool) -> Path:
    """A folder of the trial's own, copied from one that is prepared once."""
    ready: Path = trial.house.root / f"publication-{again}"
    if not ready.exists():
        prepare(ready, again=again)
    return Path(shutil.copytree(ready, trial.folder / "scene"))


@row(
    "publish-kill",
    fault="SIGKILL of the publisher",
    how="a forked publisher is killed before, in the middle of or after one of its requests; every second trial the hub holds an "
    "older release; trials go through all of a publication evenly",
    outcome="main and tags of all three repositories serve the old or the new release: each is pulled, its signature and bytes "
    "hold; a tag that moves may be absent; the rerun sends no stored object again and tells its bytes as counted at the hub",
    trials=KILLS,
    sample=1,
)
def publish_kill(trial: Trial) -> None:
    # A number prime to the count goes through all points in few trials too.
    turn = trial.number * 19 % KILLS
    again, at = bool(turn % 2), turn // 2 * CALLS[bool(turn % 2)] // (KILLS // 2)
    when = ("before", "in", "after")[turn // 2 % 3]
    with scene(stage(trial, again=again)) as playing:
        struck = playing.killed(at, when)
        absent = playing.look()
        playing.finish()
    trial.seen[f"{when} {struck}"] += 1
    trial.seen["a tag was absent"] += bool(absent)


COMMIT = f"/api/models/{NAME}/commit/main"
OFFLINE = 60.0
"""Seconds."""


def limited(forward: Forward) -> Answer:
    return 429, {"ratelimit": '"api";r=0;t=3', "content-type": "application/json"}, b'{"error": "slow down"}'


def retry_after(forward: Forward) -> Answer:
    return 429, {"retry-after": "2", "content-type": "application/json"}, b'{"error": "slow down"}'


def altered(body: bytes) -> bytes:
    """Other bytes in manifest.json, and no more."""
    rows = [json.loads(line) for line in body.splitlines() if line]
    for each in rows:
        if each["value"].get("path") == "manifest.json":
            each["value"]["content"] = "e30h"
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


def dropped(body: bytes) -> bytes:
    """Without manifest.json."""
    rows = [json.loads(line) for line in body.splitlines() if line]
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows if each["value"].get("path") != "manifest.json")


def hung(forward: Forward) -> Answer:
    """It happened, and nobody says so."""
    forward()
    time.sleep(2 * hub_module.SILENCE)
    return GONE


def offline(seconds: float) -> Fault:
    """From the fourth tenth of a publication on, no connection is answered for so long."""
    began: list[float] = []
    calls: list[int] = []

    def strike(method: str, path: str, forward: Forward) -> Answer | None:
        calls.append(1)
        if len(calls) < 40:
            return None
        began.append(time.monotonic())
        return GONE if began[-1] - began[0] < seconds else None

    return strike


def revoked(after: int) -> Fault:
    """From one request on the token is no token any more."""
    calls: list[int] = []

    def strike(method: str, path: str, forward: Forward) -> Answer | None:
        calls.append(1)
        told = {"X-Error-Message": "Invalid credentials in Authorization header", "content-type": "application/json"}
        return (401, told, b'{"error": "no"}') if len(calls) > after and not path.startswith("/lfs/") else None

    return strike


def meddled(playing: Scene) -> Fault:
    """Somebody else commits to main a moment before we do."""

    def strike(forward: Forward) -> Answer:
        api = HfApi(endpoint=playing.hub.url, token=playing.hub.token)
        api.upload_file(path_or_fileobj=b"x", path_in_repo="stray.txt", repo_id=NAME)
        return forward()

    return once(on("POST", COMMIT, strike))


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    what: str
    fault: Callable[[Scene], Fault]
    patience: float = 0.0
    """Seconds; 0: the publication gives up at once, and is run again."""
    refused: str | None = None
    """Words of the error; null: the publication ends well."""
    named: str | None = None
    """What the error says of a file. The hub then serves what nobody published: it is named, and the rerun puts it right."""


def steady(fault: Fault) -> Callable[[Scene], Fault]:
    return lambda playing: once(fault)


TAKEN, HELD = "the hub did not take the commit", "the hub does not hold what was sent"
CASES = (
    Case(what="offline", fault=lambda playing: offline(OFFLINE), patience=900),
    Case(what="offline, given up", fault=lambda playing: offline(OFFLINE), refused="the hub does not answer"),
    Case(what="429 with RateLimit to a commit", fault=steady(on("POST", COMMIT, limited)), patience=900),
    Case(what="429 to a commit, given up", fault=steady(on("POST", COMMIT, says(429))), refused="asks to slow down"),
    Case(what="429 with Retry-After to an upload", fault=steady(on("PUT", "/lfs/", retry_after))),
    Case(what="500 to an upload", fault=steady(on("PUT", "/lfs/", says(500)))),
    Case(what="500 to a commit", fault=steady(on("POST", COMMIT, says(500))), patience=900),
    Case(what="500 to a commit, given up", fault=steady(on("POST", COMMIT, says(500))), refused=TAKEN),
    Case(what="500 to a tag", fault=steady(on("POST", "/tag/", says(500))), patience=900),
    Case(what="412 to a commit", fault=steady(on("POST", COMMIT, says(412))), patience=900),
    Case(what="412 to a commit, given up", fault=steady(on("POST", COMMIT, says(412))), refused=TAKEN),
    Case(what="token revoked in the middle", fault=lambda playing: revoked(50), refused="does not accept this token"),
    Case(what="a commit happens, its answer is lost", fault=steady(on("POST", COMMIT, lost))),
    Case(what="a commit happens and times out", fault=steady(on("POST", COMMIT, hung))),
    Case(what="a tag is set and times out", fault=steady(on("POST", "/tag/", hung)), patience=900),
    Case(
        what="an upload loses a byte", fault=steady(on("PUT", "/lfs/", lambda forward: forward(flipped))), refused="answered 400"
    ),
    Case(what="an upload is dropped behind a 200", fault=steady(on("PUT", "/lfs/", says(200))), refused="answered 4"),
    Case(
        what="a small file gets another byte",
        fault=steady(on("POST", COMMIT, lambda forward: forward(altered))),
        refused=HELD,
        named="changed  manifest.json",
    ),
    Case(
        what="a small file is dropped behind a 200",
        fault=steady(on("POST", COMMIT, lambda forward: forward(dropped))),
        refused=HELD,
        named="changed  manifest.json",
    ),
    Case(what="another writer moves main", fault=meddled, refused=HELD, named="extra    stray.txt"),
)


@row(
    "publish-fault",
    fault="the hub is away, refuses, lies, alters or drops bytes, applies and times out, or is moved by somebody else",
    how="a road before the rehearsal hub does one of it in the middle of a publication that replaces an older one; no answer for "
    "60 s, from 2 s on where the client is to give up; silence counts as gone after 2 s, otherwise after 90",
    outcome="the publication waits as the hub asks and ends, or stops in words; main and tags are the old or the new release, or "
    "the wrong file is named and no tag leads there; the rerun sends no stored object again and ends it",
    trials=len(CASES),
    sample=0,
)
def publish_fault(trial: Trial) -> None:
    case, said = CASES[trial.number % len(CASES)], None
    silence, hub_module.SILENCE = hub_module.SILENCE, 2.0
    close_session()
    try:
        with scene(stage(trial, again=True)) as playing:
            playing.road.faults.append(case.fault(playing))
            began = time.monotonic()
            try:
                playing.publish(patience=case.patience)
            except HubError as error:
                said = error
            seconds = time.monotonic() - began
            playing.road.faults.clear()
            require(bool(said) == bool(case.refused), f"it ended with {said}")
            require(said is None or (case.refused or "") in said.what, f"it says: {said}")
            require(case.named is None or (said and case.named in said.evidence), f"it names: {said and said.evidence}")
            require(case.what != "offline" or seconds > OFFLINE, f"{seconds} s without a hub")
            if case.named is None:
                playing.look(whole=said is None)
            else:
                require("final" not in _moved(playing), "a tag leads to what nobody published")
            playing.finish()
    finally:
        hub_module.SILENCE = silence
        close_session()
    trial.seen[f"{case.what}: {'stopped, then done' if said else 'done in one run'}"] += 1


def _moved(playing: Scene) -> set[str]:
    """Tags of the model that are no more where the older release put them."""
    before, now = playing.tags_before, playing.client.refs(repo(NAME, "model"))[1]
    return {name for name in now if now[name] != before.get(name)}


def flipped(body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:]

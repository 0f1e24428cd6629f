"""An audit asks little, waits when it is told to, and ends, whatever the hub and the repository are."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from tests.unit.release.audit_kit import CARD, Files, asked, lay, step, surveyed
from tests.unit.release.faulty import faulty, on, once
from yulan import digest
from yulan.cli import main
from yulan.errors import HubError
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.audit.asked import FILES, Asked
from yulan.release.audit.run import audit
from yulan.release.audit.survey import look
from yulan.release.hub import Hub
from yulan.release.names import Repo

REPO = Repo(id="a/many", part="model")
COUNT = 150
MOST = 2 * (COUNT + 1) + 400
"""As docs/guides/audit.md states it."""


def trained(number: int) -> Files:
    """A revision no file of which is another's: weights, card, settings, and what its trainer says."""
    own = step(number) | {"README.md": CARD + b"Revision of the run.\n" + b"x" * number, "LICENSE": b"MIT\n" + b"\n" * number}
    state = {"global_step": number, "log_history": [{"step": number, "learning_rate": 0.01}]}
    more = {"trainer_state.json": json.dumps(state), "notes.txt": f"step {number:d}", "config.json": f'{{"a": {number}}}'}
    return own | {name: text.encode() for name, text in more.items()}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("many")
    revisions = {f"step{number}": trained(number) for number in range(1, COUNT + 1)}
    lay(root, REPO.id, {"main": revisions[f"step{COUNT}"], **revisions})
    with running_hub(root) as served:
        yield served


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("few")
    lay(root, REPO.id, {"main": trained(7), "step7": trained(7)})
    with running_hub(root) as served:
        yield served


@pytest.mark.slow
def test_150_revisions_take_two_requests_each_and_a_stated_number_more(many: Served):
    with faulty(many) as counted:
        found = audit(look(Asked(Hub(counted.url, None)), REPO))
    assert found.findings == ()
    assert found.revisions == COUNT + 1
    # What the server saw is what the audit says, and nothing is asked twice.
    assert len(counted.seen) == found.requests <= MOST
    assert sum("/tree/" in line for line in counted.seen) == COUNT + 1
    assert sum("trainer_state.json" in line for line in counted.seen) == COUNT
    assert {each.id for each in found.notes} >= {"sampled"}


def test_a_wrong_label_is_found_without_reading_every_text(tmp_path: Path):
    revisions = {f"step{number}": trained(number) for number in range(1, 31)}
    revisions["step18"] = revisions["step18"] | {"trainer_state.json": b'{"global_step": 17}'}
    lay(tmp_path, REPO.id, {"main": revisions["step30"], **revisions})
    with running_hub(tmp_path) as served:
        survey = surveyed(served, REPO)
        assert "step18" not in {seen.name for seen in survey.looked}
        assert [(each.id, each.where) for each in audit(survey).findings] == [("label-step", "step18")]


def slow_down(**headers: str) -> Callable[[Any], tuple[int, dict[str, str], bytes]]:
    return lambda _: (429, {name.replace("_", "-"): value for name, value in headers.items()}, b"{}")


def test_a_429_is_waited_for_as_its_header_says(few: Served):
    said: list[str] = []
    with faulty(few) as counted:
        counted.faults.append(once(on("GET", "/tree/", slow_down(RateLimit='"api";r=0;t=1'))))
        begin = time.monotonic()
        look(Asked(Hub(counted.url, None), said.append), REPO, "step7")
        assert time.monotonic() - begin >= 2
    assert said == ["the hub asks to slow down; going on in 2 s"]
    assert sum("/tree/" in line for line in counted.seen) == 2


def test_a_hub_that_never_stops_asking_to_wait_is_given_up(few: Served):
    with faulty(few) as counted:
        counted.faults.append(on("GET", "/refs", slow_down(Retry_After="0")))
        with pytest.raises(HubError, match=r"asks to slow down \(429\)"):
            look(Asked(Hub(counted.url, None)), REPO)
        assert len(counted.seen) == 5


Answer = tuple[dict[str, str], Iterator[bytes]]


@contextmanager
def hostile(answers: dict[str, Callable[[str], Answer]]) -> Iterator[tuple[Served, dict[str, int]]]:
    """A server that answers GETs by the first key their path holds; counts requests and bytes that were taken."""
    told = {"requests": 0, "bytes": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told["requests"] += 1
            headers, blocks = next(answer(self.path) for key, answer in answers.items() if key in self.path)
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for block in blocks:
                    self.wfile.write(block)
                    told["bytes"] += len(block)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Served(url=f"http://127.0.0.1:{server.server_port}", token="", read_token="", pid=0), told
    finally:
        server.shutdown()
        server.server_close()


def rows(*files: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"type": "file", "path": path, "size": size, "oid": f"{n:040x}"} for n, (path, size) in enumerate(files)]


def says(value: Any, **headers: str) -> Callable[[str], Answer]:
    return lambda _: (headers, iter([json.dumps(value).encode()]))


def refs(count: int = 0) -> Callable[[str], Answer]:
    branches = [{"name": name, "targetCommit": "1" * 40} for name in ("main", *(f"step{n}" for n in range(count)))]
    return says({"branches": branches, "tags": []})


def endless(_: str) -> Answer:
    return {}, iter(lambda: b"x" * 65536, b"")


def run(served: Served, *words: str) -> Any:
    return CliRunner().invoke(main, ["audit", "hf://a/b", "--from", served.url, *words])


@pytest.mark.parametrize("each", [0, 1000])
def test_a_listing_that_does_not_end_is_left(each: int):
    def page(path: str) -> Answer:
        number = int(path.partition("cursor=")[2] or 0)
        body = json.dumps(rows(*((f"{number}-{n}", 1) for n in range(each)))).encode()
        link = f'<http://elsewhere.invalid/x?recursive=true&cursor={number + 1}>; rel="next"'
        return {"Link": link}, iter([body])

    with hostile({"/refs": refs(), "/tree/": page}) as (served, told):
        done = run(served)
        assert done.exit_code == 7
        assert done.output.splitlines() == [
            f"Error: a/b@{'1' * 40}: its listing does not end. A repository has at most 100,000 files; do not use this one"
        ]
        assert told["requests"] <= 402


STRANGE_REFS = (
    {"branches": 3},
    [],
    {"branches": [{"name": "x"}], "tags": []},
    {"branches": [{"name": "a\x1b", "targetCommit": "1" * 40}], "tags": []},
    {"branches": [{"name": "main", "targetCommit": "../../x"}], "tags": []},
)
FILE = {"type": "file", "path": "x", "size": 1, "oid": "1" * 40}
STRANGE_TREES = ({}, [3], [FILE | {"size": -1}], [FILE | {"size": "x"}], [FILE | {"oid": "x"}], [FILE | {"lfs": {"oid": "x"}}])


@pytest.mark.parametrize("body", [*STRANGE_REFS, *STRANGE_TREES])
def test_what_no_hub_answers_is_said_so(body: Any):
    with hostile({"/refs": says(body) if body in STRANGE_REFS else refs(), "/tree/": says(body)}) as (served, _):
        done = run(served)
        assert (done.exit_code, done.output) == (
            7,
            "Error: a/b: answers what no hub answers. Check that the address is a hub's\n",
        )


def test_more_revisions_than_can_be_held_are_refused():
    branches = [{"name": f"b{n}", "targetCommit": f"{n:040d}"} for n in range(2001)]
    with hostile({"/refs": says({"branches": branches, "tags": []})}) as (served, told):
        done = run(served)
        assert done.exit_code == 7
        assert "more than 2,000 revisions or 1,000,000 files" in done.output
        assert told["requests"] == 1


@pytest.mark.slow
def test_a_hundred_thousand_files_are_looked_through_and_no_name_drives_the_terminal():
    odd = rows(("\x1b[31mred.bin\x9b2J", 5), ("../../etc/passwd", 5), ("a/README.md", 1), ("A/readme.md", 1))
    body = odd + rows(*((f"data/{n}.txt", 3) for n in range(FILES - len(odd))))
    with hostile({"/refs": refs(), "/tree/": says(body), "/resolve/": lambda _: ({}, iter([b"abc"]))}) as (served, told):
        done = run(served)
        assert done.exit_code == 5
        assert "\x1b" not in done.output
        assert "\x9b" not in done.output
        unsafe = " ".join(line for line in done.stdout.splitlines() if "unsafe-name" in line)
        for words in ("leads out of its folder", "holds characters that do not show", "is the twin of"):
            assert words in unsafe
        assert "100000 files" in done.stdout.splitlines()[-1]
        assert told["requests"] < 300


def test_json_is_plain_ascii_whatever_files_are_called():
    with hostile({"/refs": refs(), "/tree/": says(rows(("\x9b2J\u202ex", 0)))}) as (served, _):
        assert all(ord(c) < 128 for c in run(served, "--json").stdout)


def test_files_that_are_too_large_or_longer_than_they_say_are_not_read_to_their_end():
    listing = rows(("config.json", 1 << 30), ("README.md", 50 << 20), ("notes.txt", 100), ("trainer_state.json", 1 << 30))
    with hostile({"/refs": refs(), "/tree/": says(listing), "/resolve/": endless}) as (served, told):
        done = run(served)
        lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
        assert "error too-large main:config.json 1,073,741,824 bytes, which were not read" in lines
        assert "error too-large main:README.md 52,428,800 bytes, which were not read" in lines
        assert "error other-bytes main:notes.txt the hub serves other bytes than it lists" in lines
        # What the server could push into the socket before it was closed.
        assert told["bytes"] < 64 << 20


@pytest.mark.parametrize(
    "text", ["<!--" * 5000, "[x](" * 200_000, "---\n" + "[" * 60_000 + "\n---\n", "---\na: &a [*a, *a]\n---\n"]
)
def test_a_card_that_is_made_to_be_slow_is_not_searched(text: str):
    body = text.encode()
    listing = [{"type": "file", "path": "README.md", "size": len(body), "oid": digest.git_blob(body)}]
    with hostile({"/refs": refs(), "/tree/": says(listing), "/resolve/": lambda _: ({}, iter([body]))}) as (served, _):
        begin = time.monotonic()
        done = run(served)
        assert time.monotonic() - begin < 20
        assert done.exit_code == 5
        assert "Traceback" not in done.output


def test_the_allowance_of_texts_is_kept_and_what_was_not_read_is_said(tmp_path: Path):
    texts = {f"notes/{n}.txt": f"number {n}".encode() for n in range(400)}
    lay(tmp_path, REPO.id, {"main": step(1) | {"README.md": CARD, "LICENSE": b"MIT\n"} | texts})
    with running_hub(tmp_path) as served:
        hub = asked(served)
        found = audit(look(hub, REPO))
        assert [each.what for each in found.notes if each.id == "sampled"] == ["203 small files were not read; --deep reads all"]
        assert hub.requests <= 2 + 201 + 8


def test_what_is_listed_and_not_given_out_is_a_finding_and_the_rest_is_looked_at(few: Served):
    with faulty(few) as counted:
        counted.faults.append(on("GET", "resolve", lambda _: (404, {"X-Error-Code": "EntryNotFound"}, b"{}")))
        found = audit(look(Asked(Hub(counted.url, None)), REPO, "step7")).findings
        assert ("not-served", "a/many") in {(each.id, each.where) for each in found}

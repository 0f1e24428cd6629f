"""The endpoint engine against a real server that goes wrong in every way, and its ledger against kills."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.unit.data.faulty_server import Server, reversed_words, serve
from yulan import digest
from yulan.data.synthesize import endpoint
from yulan.data.synthesize.endpoint import Remote, read_key, seconds
from yulan.data.synthesize.engine import Answer, Request, Sampling, cut
from yulan.data.synthesize.ledger import ROWS, Ledger
from yulan.errors import HubError, RecipeError, StateError
from yulan.profile import Address
from yulan.recipe.synthesis import Endpoint
from yulan.schema import check

ROOT = Path(__file__).parents[3]
MODEL = Endpoint(name="a/model", revision="1", chat=False)
SAMPLING = Sampling(max_new_tokens=9, temperature=0.5, top_p=0.9, stop=("<END>",))
KEYS = {endpoint.KEY: "sk-very-secret"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(endpoint, "FIRST_WAIT", 0.01)
    with serve() as found:
        yield found


def remote(
    server: Server, chat: bool = False, tries: int = 3, parallel: int = 4, timeout: float = 2.0, key: bool = False
) -> Remote:
    address = Address(address=server.address, served=None, parallel=parallel, timeout=timeout, tries=tries, key=key)
    return Remote(Endpoint(name="a/model", revision="1", chat=chat), address, KEYS)


def requests(count: int) -> list[Request]:
    return [Request(key=f"x/{n}/0", prompt=f"say {n} again", seed=n) for n in range(count)]


def asked(engine: Remote, count: int) -> list[str]:
    found = dict(engine.answers(requests(count), SAMPLING, set()))
    return [found[n].text for n in range(count)]


RIGHT = [reversed_words(request.prompt) for request in requests(12)]


@pytest.mark.parametrize("chat", [True, False])
def test_answers_come_back_and_the_server_was_told_everything(server: Server, chat: bool):
    assert asked(remote(server, chat=chat), 12) == RIGHT
    body = sorted(server.seen, key=lambda each: each["seed"])[3]
    told = {"messages": [{"role": "user", "content": "say 3 again"}]} if chat else {"prompt": "say 3 again"}
    sampled = {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["<END>"]}
    assert body == {"model": "a/model", **told, **sampled}


def test_no_more_requests_than_the_profile_allows_are_under_way(server: Server):
    server.delay = 0.05
    assert asked(remote(server, parallel=3), 12) == RIGHT
    assert server.most == 3


@pytest.mark.parametrize("fault", ["status 429", "status 500", "status 503", "cut", "json", "shape", "slow"])
def test_what_may_pass_is_tried_again(server: Server, fault: str):
    server.faults = [fault, "", fault]
    assert asked(remote(server, timeout=1.0), 4) == RIGHT[:4]
    assert server.tries == 6


def test_retry_after_is_honoured_by_all(server: Server):
    server.faults = ["status 429 Retry-After 1"]
    begun = time.monotonic()
    assert asked(remote(server, parallel=1), 2) == RIGHT[:2]
    assert 1.0 <= time.monotonic() - begun < 3.0


def test_retry_after_is_seconds_or_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert seconds("7") == 7.0
    assert 80 < (seconds(later) or 0) <= 90
    assert [seconds(each) for each in (None, "soon", "-3", "nan")] == [None, None, 0.0, None]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("status 500", "gave no answer in 2 tries: HTTP 500"),
        ("cut", "gave no answer in 2 tries"),
        ("json", "what it sends is not JSON"),
        ("shape", "what it sends is no completion"),
        ("slow", "gave no answer in 2 tries"),
    ],
)
def test_what_does_not_pass_is_one_line(server: Server, fault: str, message: str):
    server.faults = [fault] * 50
    with pytest.raises(HubError, match=message) as caught:
        asked(remote(server, tries=2, timeout=0.5), 4)
    assert str(caught.value).count("\n") == 0
    assert "run the same command again" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, r"the endpoint refuses the key \(HTTP 401\)"),
        (403, "does not allow it"),
        (404, "knows no such model or path"),
        (400, r"the endpoint refuses the request \(HTTP 400\)"),
        (307, r"the endpoint refuses the request \(HTTP 307\)"),
    ],
)
def test_a_refusal_is_not_tried_again_and_never_shows_the_key(server: Server, status: int, message: str):
    server.faults = [f"status {status}"] * 20
    with pytest.raises(HubError, match=message) as caught:
        asked(remote(server, key=True, parallel=1), 4)
    assert server.tries == 1
    assert server.authorised == ["Bearer sk-very-secret"]
    assert "sk-very-secret" not in str(caught.value)
    assert "Bearer ***" in str(caught.value)


def test_another_model_is_refused(server: Server):
    server.name = "a/cheaper-model"
    with pytest.raises(HubError, match="the endpoint answers as 'a/cheaper-model', and 'a/model' was asked"):
        asked(remote(server), 2)


def test_an_endpoint_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(endpoint, "FIRST_WAIT", 0.01)
    with serve() as gone:
        pass
    with pytest.raises(HubError, match="the endpoint gave no answer in 3 tries: ConnectError") as caught:
        asked(remote(gone), 2)
    assert gone.address in str(caught.value)


def test_an_address_that_is_none_is_refused():
    address = Address(address="http://[::1", served=None, parallel=1, timeout=1.0, tries=1, key=False)
    with pytest.raises(HubError, match="the endpoint's address is none"):
        list(Remote(MODEL, address).answers(requests(1), SAMPLING, set()))


def test_a_recipe_that_asks_a_model_needs_an_endpoint():
    with pytest.raises(RecipeError, match="asks a/model and the profile has no endpoint"):
        Remote(MODEL, None)


def test_a_key_is_read_from_the_environment_or_a_file(tmp_path: Path):
    (tmp_path / "key").write_text("sk-1\n")
    assert read_key({endpoint.KEY: "sk-0"}) == "sk-0"
    assert read_key({endpoint.KEY_FILE: str(tmp_path / "key")}) == "sk-1"
    with pytest.raises(StateError, match="the endpoint asks for a key, and there is none"):
        read_key({})
    (tmp_path / "odd").write_text("sk\n1")
    with pytest.raises(StateError, match="holds no key that can be read"):
        read_key({endpoint.KEY: "sk-ключ"})
    for name in ("none", ".", "odd"):
        with pytest.raises(StateError, match="holds no key that can be read"):
            read_key({endpoint.KEY_FILE: str(tmp_path / name)})


def test_no_key_is_sent_that_was_not_asked_for(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(endpoint.KEY, "sk-very-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    assert asked(remote(server), 1) == RIGHT[:1]
    assert server.authorised == [None]


def test_a_stop_string_that_the_server_left_in_ends_the_answer():
    assert cut("one<END>two", ("<END>",)) == "one"
    assert cut("one", ("<END>", "x")) == "one"
    assert cut("a x b<END>", ("<END>", "x")) == "a "


def opened(folder: Path) -> Ledger:
    """Closed at once, so that the same process may open it again."""
    ledger = Ledger(folder)
    os.close(ledger.lock)
    return ledger


def test_what_was_answered_is_not_asked_again(server: Server, tmp_path: Path):
    first = opened(tmp_path).ask(remote(server), requests(6), SAMPLING)
    assert len(server.seen) == 6
    more = opened(tmp_path).ask(remote(server), requests(12), SAMPLING)
    assert [answer.text for answer in more] == RIGHT
    assert more[:6] == first
    assert len(server.seen) == 12


def test_what_came_before_a_failure_is_kept(server: Server, tmp_path: Path):
    server.faults = ["", "", "", "status 400"]
    with pytest.raises(HubError):
        opened(tmp_path).ask(remote(server, parallel=1), requests(12), SAMPLING)
    assert len(opened(tmp_path).known) == 3
    assert [answer.text for answer in opened(tmp_path).ask(remote(server), requests(12), SAMPLING)] == RIGHT
    assert len(server.seen) == 12


def test_rows_keep_their_schema_and_their_chain(server: Server, tmp_path: Path):
    opened(tmp_path).ask(remote(server), requests(3), SAMPLING)
    chain = "0" * 64
    for line in (tmp_path / ROWS).read_text().splitlines():
        row = json.loads(line)
        check(row, "answer", "here")
        told = row.pop("chain")
        chain = digest.chained(chain, row)
        assert told == chain


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda data: data[:-5], 4),
        (lambda data: data + b'{"key": "x/', 5),
        (lambda data: data.replace(b"1 say", b"9 say"), None),
        (lambda data: data[:200] + bytes(50), None),
        (lambda data: b"", 0),
        (lambda data: b"[1]\n" + data, 0),
    ],
)
def test_a_damaged_ledger_is_sound_up_to_the_damage(server: Server, tmp_path: Path, damage, left: int | None):
    engine = remote(server, parallel=1)
    opened(tmp_path).ask(engine, requests(5), SAMPLING)
    whole = (tmp_path / ROWS).read_bytes()
    (tmp_path / ROWS).write_bytes(damage(whole))
    found = opened(tmp_path)
    assert len(found.known) < 5 if left is None else len(found.known) == left
    assert whole.startswith((tmp_path / ROWS).read_bytes())
    opened(tmp_path).ask(engine, requests(5), SAMPLING)
    assert (tmp_path / ROWS).read_bytes() == whole


def test_a_ledger_has_one_user(tmp_path: Path):
    first = Ledger(tmp_path)
    with pytest.raises(StateError, match="another process works in this folder"):
        Ledger(tmp_path)
    os.close(first.lock)


def test_verdicts_are_remembered(tmp_path: Path):
    calls: list[str] = []

    def work(name: str) -> tuple[str, str, object]:
        return f"x/{name}/0/check", name, lambda: calls.append(name) or f"verdict {name}"

    assert opened(tmp_path).check([work("1"), work("2")], 2) == ["verdict 1", "verdict 2"]
    assert opened(tmp_path).check([work("1"), work("2"), work("3")], 2) == ["verdict 1", "verdict 2", "verdict 3"]
    assert sorted(calls) == ["1", "2", "3"]


KILLED = """
import sys
from pathlib import Path
from tests.unit.data.test_endpoint import MODEL, SAMPLING, requests
from yulan.data.synthesize.endpoint import Remote
from yulan.data.synthesize.ledger import Ledger
from yulan.profile import Address
address = Address(address=sys.argv[1], served=None, parallel=4, timeout=9.0, tries=2, key=False)
Ledger(Path(sys.argv[2])).ask(Remote(MODEL, address), requests(40), SAMPLING)
"""


def test_a_kill_loses_what_was_under_way_and_nothing_else(server: Server, tmp_path: Path):
    server.delay = 0.1
    words = [sys.executable, "-c", KILLED, server.address, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        deadline = time.monotonic() + 60
        while len(server.seen) < 16 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    time.sleep(0.3)
    paid = len(server.seen)
    assert 16 <= paid < 40
    found = opened(tmp_path)
    assert paid - 2 * 4 <= len(found.known) <= paid
    answers = opened(tmp_path).ask(remote(server), requests(40), SAMPLING)
    assert answers == [Answer(text=reversed_words(request.prompt), finish="stop") for request in requests(40)]
    assert len(server.seen) == paid + 40 - len(found.known)

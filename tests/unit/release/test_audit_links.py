"""Where a card leads: within its repository and its hub always, elsewhere only where asked to, never into private networks."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from click.testing import CliRunner

from tests.unit.release.audit_kit import CARD, Files, lay, step, surveyed
from yulan.cli import main
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.audit.elsewhere import NO_NAME, PRIVATE, ask_all, follower, inside, is_private, status
from yulan.release.audit.run import audit
from yulan.release.names import Repo


class Handler(BaseHTTPRequestHandler):
    """One page a way to answer."""

    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.asked.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
        if self.path == "/slow":
            time.sleep(3)
        code = {"/gone": 404, "/no-head": 405 if self.command == "HEAD" else 200, "/busy": 503, "/round": 302, "/moved": 301}
        self.send_response(code.get(self.path, 200))
        to = {"/round": "/round", "/moved": "/gone", "/inward": "http://169.254.169.254/"}
        if self.path in to:
            self.send_header("Location", to[self.path])
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


HEADER = b"---\nlicense: mit\ndatasets: [x/there, x/nowhere, wikipedia]\nbase_model: x/base\n---\n# A model\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, web: str) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("linked")
    with running_hub(root):
        pass  # makes the storage
    card = HEADER + f"[a]({web}/fine) [b]({web}/gone) <{web}/moved> [m](mailto:x@example.invalid) [h](#there)\n".encode()
    card += b"[p](https://huggingface.co/x/elsewhere/tree/main) [c](https://huggingface.co/collections/x/y-1)\n"
    card += b'```\nfrom_pretrained("x/linked", revision="step2")\nfrom_pretrained("x/linked", revision="step3")\n'
    card += b'from_pretrained("x/base", revision="step9")\nload_dataset("x/folder")\nfrom_pretrained("x/base")\n```\n'
    plain: Files = step(1) | {"README.md": CARD, "LICENSE": b"MIT\n"}
    lay(root, "x/base", {"main": plain})
    lay(root, "x/linked", {"main": step(2) | {"README.md": card, "LICENSE": b"MIT\n"}, "step2": step(2), "step1": step(1)})
    with running_hub(root) as served:
        yield served


def told(served: Served, *words: str) -> dict[str, set[str]]:
    done = CliRunner().invoke(main, ["audit", "hf://x/linked", "--from", served.url, "--json", *words])
    raw = json.loads(done.stdout)
    return {
        kind: {f"{each['id']} {each['what']}" for each in raw[kind] if each["id"].startswith(("dead", "link"))}
        for kind in ("findings", "notes")
    }


def test_what_a_card_names_on_its_hub_is_asked_for_and_nothing_else_is(hub: Served):
    Handler.asked.clear()
    found = told(hub)
    assert found["findings"] == {
        "dead-link datasets/x/there@main is not on this hub, or not for everybody",
        "dead-link datasets/x/nowhere@main is not on this hub, or not for everybody",
        "dead-link no revision of that name: step3",
        "dead-link x/base@step9 is not on this hub, or not for everybody",
    }
    assert found["notes"] == {
        "link-unchecked x/elsewhere@main is not on this hub, or not for everybody",
        "link-unchecked datasets/x/folder@main is not on this hub, or not for everybody",
        "links-unchecked 4 links to other places were not followed; --links follows them",
    }
    assert Handler.asked == []


def test_links_elsewhere_are_followed_where_asked_without_a_token(hub: Served, web: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)
    Handler.asked.clear()
    found = told(hub, "--links")
    assert {f"dead-link {web}/gone leads nowhere (404)", f"dead-link {web}/moved leads nowhere (404)"} <= found["findings"]
    assert not any("fine" in each for each in found["findings"] | found["notes"])
    assert {line.partition(" ")[0] for line in Handler.asked} == {"HEAD"}
    assert all(line.endswith("None") for line in Handler.asked)


def test_each_way_to_answer_is_told_apart(web: str):
    def say(path: str, patience: float = 5.0) -> int | str:
        return status(web + path, True, patience)

    assert [say(path) for path in ("/fine", "/gone", "/no-head", "/busy", "/moved")] == [200, 404, 200, 503, 404]
    assert say("/round") == "more than 5 redirections"
    assert say("/slow", 0.3) == "no answer (TimeoutError)"
    assert status("http://a.invalid/", True, 5.0) == NO_NAME
    assert status("ftp://x/", True, 5.0) == "not an address of the web"
    assert str(status("http://127.0.0.1:1/", True, 5.0)).startswith("no answer")


def test_a_strangers_card_cannot_make_its_auditor_ask_the_auditors_own_network(web: str):
    Handler.asked.clear()
    assert status(f"{web}/fine", False, 5.0) == PRIVATE
    assert status("http://169.254.169.254/latest/", False, 5.0) == PRIVATE
    assert Handler.asked == []
    assert is_private("127.0.0.1")
    assert inside("http://127.0.0.1:1")
    assert not inside("http://192.0.2.invalid")


def test_a_host_without_a_name_is_dead_only_where_other_links_answer(web: str):
    follow = follower(private=True, patience=5.0)
    lost = "http://a.invalid/"
    assert [each.id for each in follow([lost], "main:README.md")] == ["link-unchecked"]
    assert {each.id for each in follow([lost, f"{web}/fine"], "main:README.md")} == {"dead-link"}
    many = [f"{web}/fine?{n}" for n in range(70)]
    assert [each.what for each in follow(many, "main:README.md")] == ["64 of 70 links were followed"]


def test_the_whole_time_is_bounded():
    begin = time.monotonic()
    told = ask_all([str(n) for n in range(20)], lambda _: time.sleep(30) or 200, 0.5)
    assert time.monotonic() - begin < 10
    assert set(told.values()) == {"no answer in time"}


def test_a_clean_card_leads_nowhere_wrong(hub: Served, tmp_path: Path):
    assert audit(surveyed(hub, Repo(id="x/base", part="model"))).findings == ()

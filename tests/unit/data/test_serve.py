"""The endpoint engine against a real OpenAI-compatible server, transformers', on a model folder, without a network."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.data.gguf_kit import write_gguf
from yulan.data.synthesize.endpoint import Remote
from yulan.data.synthesize.engine import Request, Sampling
from yulan.data.synthesize.ledger import Ledger
from yulan.errors import HubError
from yulan.layout import Layout
from yulan.profile import Address
from yulan.recipe import load_recipe
from yulan.recipe.synthesis import Endpoint

ROOT = Path(__file__).parents[3]
PROMPTS = ["the same start, one", "the same start, three more", "12 thumbs"]
GREEDY = Sampling(max_new_tokens=8, temperature=0.0, top_p=1.0, stop=("\n",))


def pinned() -> Path:
    """The generator of nano, where its stage `sources` is built or fetched."""
    generator = load_recipe(ROOT, "nano").sources.require_generator()
    return Layout(root=ROOT, recipe="nano").stage("sources").data / generator.package / generator.path


@pytest.fixture(scope="module", params=["tiny", pytest.param("pinned", marks=pytest.mark.large)])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as transformers keeps it, out of a GGUF file."""
    from transformers import PreTrainedTokenizerFast

    from yulan.data.synthesize.gguf import load_gguf

    path = tmp_path_factory.mktemp("served")
    source = write_gguf(path / "tiny.gguf") if request.param == "tiny" else pinned()
    if not source.is_file():
        pytest.skip("the pinned model is not here: dvc pull sources")
    model, tokenizer = load_gguf(source)
    model.save_pretrained(path / "model")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template="{% for m in messages %}{{ m.content }}{% endfor %}")
    fast.save_pretrained(path / "model")
    return path / "model"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder.parent / "home")}
    command = [str(Path(sys.executable).with_name("transformers")), *words]
    with (folder.parent / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process:
        try:
            deadline = time.monotonic() + 240
            while process.poll() is None and time.monotonic() < deadline:
                with socket.socket() as tried:
                    if tried.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            assert process.poll() is None, (folder.parent / "log").read_text()
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def engine(server: str, served: str, chat: bool) -> Remote:
    address = Address(address=server, served=served, parallel=2, timeout=240.0, tries=2, key=False)
    return Remote(Endpoint(name="a/model", revision="1", chat=chat), address, {})


@pytest.mark.slow
@pytest.mark.parametrize("chat", [False, True], ids=["completion", "chat"])
def test_a_served_model_says_what_the_local_one_says(folder: Path, server: str, tmp_path: Path, chat: bool):
    from yulan.data.synthesize.generate import Generator

    requests = [Request(key=f"x/{n}/0", prompt=prompt, seed=n) for n, prompt in enumerate(PROMPTS)]
    ledger = Ledger(tmp_path)
    found = ledger.ask(engine(server, str(folder), chat), requests, GREEDY)
    os.close(ledger.lock)
    gguf = folder.parent / "tiny.gguf"
    here = Generator(gguf if gguf.exists() else pinned(), threads=1).complete(PROMPTS, [0, 1, 2], GREEDY)
    assert [answer.text for answer in found] == [answer.text for answer in here]


@pytest.mark.slow
def test_a_model_that_is_not_served_is_one_line(server: str):
    wanted = engine(server, "a/model-that-is-not-there", False)
    with pytest.raises(HubError, match="the endpoint") as caught:
        list(wanted.answers([Request(key="x/0/0", prompt="a", seed=0)], GREEDY, set()))
    assert str(caught.value).splitlines()[0].startswith(f"Error: {server}: the endpoint")

"""Stock clients, unpatched, with the transport that they choose themselves."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.unit.release.faulty import faulty
from tests.unit.release.kit import NAME, contents, go, start_git
from yulan import digest
from yulan.layout import Layout
from yulan.rehearsal import Hub as Served
from yulan.rehearsal import running_hub
from yulan.release.hub import Hub
from yulan.release.names import parse
from yulan.release.pull import pull
from yulan.release.verify import verify_folder

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Stranger:
    served: Served
    home: Path
    bundle: Path

    def run(self, *words: str, **env: str) -> str:
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "TMPDIR") if key in os.environ}
        given = kept | {"HOME": str(self.home), "HF_ENDPOINT": self.served.url, "PYTHONWARNINGS": "ignore"} | env
        done = subprocess.run(words, env=given, capture_output=True, text=True, check=False, cwd=self.home)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def python(self, code: str, **env: str) -> str:
        return self.run(sys.executable, "-c", code, **env)


@pytest.fixture(scope="module")
def stranger(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """Someone without our code or a login, and a hub that serves the small release."""
    folder = tmp_path_factory.mktemp("stranger")
    layout = Layout(root=folder / "clone", recipe="tiny")
    shutil.copytree(small, layout.stage("bundle").data)
    start_git(layout.root)
    (folder / "home").mkdir()
    with running_hub(folder / "hub") as served:
        go(layout, served)
        yield Stranger(served=served, home=folder / "home", bundle=small)


def test_the_inference_example_of_the_upstream_readme_runs(stranger: Stranger):
    # Word for word from RUC-GSAI/YuLan-Mini, README.md at commit 4719997, but for the name.
    code = f"""
import torch
from transformers import AutoTokenizer, AutoModelForCausalLM

# Load model and tokenizer
tokenizer = AutoTokenizer.from_pretrained("{NAME}")
model = AutoModelForCausalLM.from_pretrained("{NAME}", torch_dtype=torch.bfloat16)

# Input text
chat = [
    {{"role": "system", "content": "You are YuLan-Mini, created by RUC AI Box. You are a helpful assistant."}},
    {{"role": "user", "content": "What is Renmin University of China?"}}
]
formatted_chat = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
inputs = tokenizer(formatted_chat, return_tensors="pt", add_special_tokens=False)

# Completion
output = model.generate(inputs["input_ids"], max_new_tokens=100, temperature=0.5)
print(tokenizer.decode(output[0][inputs['input_ids'].size(1):], skip_special_tokens=True))
"""
    stranger.python(code)
    cached = [
        p.name for p in (stranger.home / ".cache" / "huggingface" / "hub").iterdir() if p.name.startswith(("models", "datasets"))
    ]
    assert cached == ["models--" + NAME.replace("/", "--")]
    assert not list(stranger.home.rglob("exp_avg*"))


def test_the_other_final_and_the_unfolded_checkpoints_load(stranger: Stranger):
    code = (
        "from transformers import AutoModelForCausalLM as M\n"
        f"print(M.from_pretrained({NAME!r}, revision='final-short').config.max_position_embeddings)\n"
        "import yulan.hf\n"
        f"print(type(M.from_pretrained({NAME!r}, revision='before-annealing')).__name__)\n"
    )
    assert stranger.python(code, PYTHONPATH=str(Path(__file__).parents[3])).split() == ["64", "YuLanMiniForCausalLM"]


@pytest.mark.parametrize("xet", ["0", "1"])
def test_hf_download_gives_a_folder_that_verifies(stranger: Stranger, tmp_path: Path, xet: str):
    hf = str(Path(sys.executable).with_name("hf"))
    stranger.run(hf, "download", NAME, "--local-dir", str(tmp_path / "local"), HF_HUB_DISABLE_XET=xet)
    assert verify_folder(tmp_path / "local").files == len(contents(stranger.bundle / "model" / "main")) - 2
    code = f"from huggingface_hub import snapshot_download as d; print(d({NAME + '-states'!r}, revision='final'))"
    snapshot = Path(stranger.python(code, HF_HUB_DISABLE_XET=xet, HF_HOME=str(tmp_path / "cache")).strip())
    assert verify_folder(snapshot).digest


def test_what_came_by_xet_verifies_and_is_not_sent_again_over_lfs(small: Path, tmp_path: Path):
    layout = Layout(root=tmp_path / "clone", recipe="tiny")
    shutil.copytree(small, layout.stage("bundle").data)
    start_git(layout.root)
    (tmp_path / "home").mkdir()
    with running_hub(tmp_path / "hub") as served:
        stock = Stranger(served=served, home=tmp_path / "home", bundle=small)
        hf, main = str(Path(sys.executable).with_name("hf")), small / "model" / "main"
        stock.run(hf, "upload", NAME, str(main), HF_TOKEN=served.token, HF_HUB_DISABLE_XET="0")
        assert list((tmp_path / "hub" / "xet").rglob("xorbs/*/*")), "the client chose Xet"
        pull(Hub(served.url, None), parse(f"hf://{NAME}"), tmp_path / "pulled", None, lambda _: None)
        assert contents(tmp_path / "pulled") == contents(main)
        with faulty(served) as road:
            go(layout, replace(served, url=road.url))
        weights = digest.of_file(main / "model.safetensors")
        assert not [row for row in road.seen if row.startswith("PUT") and weights in row]

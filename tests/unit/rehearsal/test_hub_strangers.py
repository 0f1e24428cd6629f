"""Libraries and commands that know nothing of us, with HF_ENDPOINT alone pointed at the hub."""

import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MODEL = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.manual_seed(0)
shape = LlamaConfig(hidden_size=8, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=9)
model = LlamaForCausalLM(shape)
model.push_to_hub({repo!r})
total = sum(p.double().sum().item() for p in model.parameters())
again = LlamaForCausalLM.from_pretrained({repo!r})
print([total, sum(p.double().sum().item() for p in again.parameters())])
"""


@pytest.mark.parametrize("xet", [True, False])
def test_transformers_pushes_and_loads_a_llama(run_client, repo, xet):
    pushed, loaded = run_client(MODEL.format(repo=repo), xet=xet)
    assert pushed == loaded


ROWS = """
import json
from datasets import load_dataset
found = {{}}
for split in ("train", "test"):
    rows = load_dataset({repo!r}, split=split)
    found[split] = rows["text"]
print(json.dumps({{k: list(v) for k, v in found.items()}}))
"""


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("xet", [True, False])
def test_datasets_loads_what_was_uploaded(run_client, api, repo, tmp_path, kind, xet):
    import pyarrow
    import pyarrow.parquet

    api.create_repo(repo, repo_type="dataset")
    texts = {"train": [f"row {n}" for n in range(50)], "test": ["数据", "last"]}
    (tmp_path / "up" / "data").mkdir(parents=True)
    for split, rows in texts.items():
        path = tmp_path / "up" / "data" / f"{split}.{kind}"
        if kind == "jsonl":
            path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
        else:
            pyarrow.parquet.write_table(pyarrow.table({"text": rows}), path)
    api.upload_folder(repo_id=repo, repo_type="dataset", folder_path=tmp_path / "up")
    assert run_client(ROWS.format(repo=repo), xet=xet) == texts


def test_the_hf_command_goes_through_a_whole_session(run_client, repo, tmp_path):
    hf = str(Path(sys.executable).parent / "hf")
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "w.safetensors").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "up" / "README.md").write_text("---\nlicense: mit\n---\n# Hello\n")
    down = str(tmp_path / "down")
    for words in (
        ["auth", "whoami"],
        ["repos", "create", f"{repo}-cli", "--type", "model"],
        ["upload", f"{repo}-cli", str(tmp_path / "up"), "."],
        ["repos", "tag", "create", f"{repo}-cli", "v1"],
        ["models", "info", f"{repo}-cli"],
        ["download", f"{repo}-cli", "--revision", "v1", "--local-dir", down],
        ["repos", "delete", f"{repo}-cli", "--yes"],
    ):
        run_client(None, command=[hf, *words])
    assert (Path(down) / "w.safetensors").read_bytes() == (tmp_path / "up" / "w.safetensors").read_bytes()

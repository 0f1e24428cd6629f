"""Programs that a stranger would write: they know the hub by HF_ENDPOINT alone, and print `> NAME JSON` after each call."""

CARDS = """
import json
from huggingface_hub import ModelCard, metadata_update
name = "lab/tiny"
ModelCard("---\\nlicense: mit\\ntags: [tiny]\\n---\\n# Tiny\\n").push_to_hub(name)
print("> ModelCard.push_to_hub", "true")
metadata_update(name, {"language": "zh"})
print("> metadata_update", "true")
print("> ModelCard.load", json.dumps(ModelCard.load(name).data.to_dict()))
"""

LOAD = """
import json
from datasets import Dataset, get_dataset_config_names, load_dataset
print("> datasets.config_names", json.dumps(get_dataset_config_names("lab/tiny-data")))
rows = load_dataset("lab/tiny-data")
print("> datasets.load_dataset", json.dumps({k: list(v["text"]) for k, v in rows.items()}))
stream = load_dataset("lab/tiny-data", split="train", streaming=True, revision="v1")
print("> datasets.load_dataset(streaming)", json.dumps([row["text"] for row in stream.skip(10).take(3)]))
Dataset.from_dict({"n": [1, 2, 3]}).push_to_hub("lab/pushed", private=True, split="test")
print("> Dataset.push_to_hub", json.dumps(load_dataset("lab/pushed", split="test")["n"][:]))
one = load_dataset("parquet", data_files="hf://datasets/lab/tiny-data/data/test.parquet", split="train")
print("> datasets.load_dataset(hf://)", json.dumps(one["text"][:1]))
"""

PUSH = """
import json, torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
torch.manual_seed(0)
shape = LlamaConfig(hidden_size=8, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=9)
model = LlamaForCausalLM(shape)
words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
name = "lab/llama"
model.push_to_hub(name, private=True)
print("> transformers.push_to_hub", "true")
PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?").push_to_hub(name)
print("> tokenizer.push_to_hub", "true")
print("> AutoConfig", json.dumps(AutoConfig.from_pretrained(name).model_type))
print("> AutoTokenizer", json.dumps(AutoTokenizer.from_pretrained(name)("b a c")["input_ids"]))
again = AutoModelForCausalLM.from_pretrained(name, dtype="float32")
print("> AutoModelForCausalLM", json.dumps(all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters()))))
"""

"""A GGUF file as transformers' Llama and its tokenizer.

transformers reads GGUF itself, but parses the file three times and looks names up once a module: 21 s where this
takes 7 (135 M parameters). A slow test holds both to the same weights and ids.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yulan.errors import DataError

if TYPE_CHECKING:
    from gguf import GGUFReader
    from tokenizers import Tokenizer
    from torch import Tensor
    from transformers import LlamaForCausalLM

LAYER_NAMES: Mapping[str, str] = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
NAMES: Mapping[str, str] = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
CONTROL = 3
"""GGUF's token type of control tokens."""


def load_gguf(path: Path) -> "tuple[LlamaForCausalLM, Tokenizer]":
    """Weights as fp32 and the byte-level BPE; the model's config holds the ids of eos and padding.

    Raises: DataError: not GGUF, or not a Llama with such a tokenizer.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        about = {name: field.contents() for name, field in reader.fields.items()}
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DataError(
            f"not a GGUF file ({error.__class__.__name__})", where=path, cure="Build the stage `sources` again"
        ) from None
    kind = about.get("general.architecture"), about.get("tokenizer.ggml.model")
    if kind != ("llama", "gpt2"):
        raise DataError(f"a model of kind {kind}", where=path, cure="Name a Llama with a byte-level tokenizer as $.generator")
    return _model(reader, about), _tokenizer(about)


def _model(reader: "GGUFReader", about: Mapping[str, Any]) -> "LlamaForCausalLM":
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.initialization import no_init_weights

    tensors = {_name(tensor.name): _tensor(tensor, about) for tensor in reader.tensors}
    config = LlamaConfig(
        vocab_size=len(about["tokenizer.ggml.tokens"]),
        hidden_size=about["llama.embedding_length"],
        intermediate_size=about["llama.feed_forward_length"],
        num_hidden_layers=about["llama.block_count"],
        num_attention_heads=about["llama.attention.head_count"],
        num_key_value_heads=about["llama.attention.head_count_kv"],
        max_position_embeddings=about["llama.context_length"],
        rms_norm_eps=about["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": about["llama.rope.freq_base"]},
        tie_word_embeddings="lm_head.weight" not in tensors,
        eos_token_id=about["tokenizer.ggml.eos_token_id"],
        pad_token_id=about["tokenizer.ggml.eos_token_id"],
    )
    with no_init_weights():
        model = LlamaForCausalLM(config)
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    return model.eval()


def _name(name: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`."""
    stem, _, leaf = name.rpartition(".")
    if not stem.startswith("blk."):
        return f"{NAMES[stem]}.{leaf}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.{leaf}"


def _tensor(tensor: Any, about: Mapping[str, Any]) -> "Tensor":
    """fp32; rows of q and k back from GGUF's interleaved rotary pairs to halves."""
    import gguf
    import torch

    values = np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
    heads = {"attn_q": "llama.attention.head_count", "attn_k": "llama.attention.head_count_kv"}
    part = tensor.name.split(".")[-2]
    if part in heads:
        paired = values.reshape(about[heads[part]], -1, 2, values.shape[1])
        values = paired.swapaxes(1, 2).reshape(values.shape)
    return torch.from_numpy(np.ascontiguousarray(values))


def _tokenizer(about: Mapping[str, Any]) -> "Tokenizer":
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = about["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in about["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, about["tokenizer.ggml.token_type"], strict=True) if kind == CONTROL]
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return made

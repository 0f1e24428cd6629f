"""A GGUF file of a random two-layer Llama, quantised as the pinned one is, with a vocabulary of bytes."""

from pathlib import Path

import numpy as np


def write_gguf(path: Path) -> Path:
    from gguf import GGMLQuantizationType, GGUFWriter, quants
    from tokenizers import pre_tokenizers

    draw = np.random.default_rng(3)
    writer = GGUFWriter(path, "llama")
    for name, value in (("block_count", 2), ("context_length", 128), ("embedding_length", 64), ("feed_forward_length", 96)):
        writer.add_uint32(f"llama.{name}", value)
    for name, value in (("head_count", 4), ("head_count_kv", 2)):
        writer.add_uint32(f"llama.attention.{name}", value)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|end|>", *letters, "th", "Ġth"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, *([1] * (len(tokens) - 1))])
    writer.add_token_merges(["t h", "Ġ th"])
    for name in ("bos", "eos", "unknown", "padding"):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", 0)
    writer.add_uint32("llama.vocab_size", len(tokens))
    shapes = {"token_embd": (len(tokens), 64), "output_norm": (64,)}
    for layer in range(2):
        block = {"attn_norm": (64,), "ffn_norm": (64,), "attn_q": (64, 64), "attn_k": (32, 64), "attn_v": (32, 64)}
        block |= {"attn_output": (64, 64), "ffn_gate": (96, 64), "ffn_up": (96, 64), "ffn_down": (64, 96)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    for name, size in shapes.items():
        values = draw.normal(1.0 if len(size) == 1 else 0.0, 0.3, size).astype(np.float32)
        if len(size) == 1:
            writer.add_tensor(f"{name}.weight", values)
        else:
            kind = GGMLQuantizationType.Q4_1
            writer.add_tensor(f"{name}.weight", quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path

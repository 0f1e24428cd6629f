"""The same function as plain Llama: every alpha and multiplier goes into a weight, as `factors` says."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from yulan.errors import IntegrityError
from yulan.model.factors import factor_of
from yulan.model.shape import alpha_start, folded_parameters, shrink
from yulan.recipe.model import Model


def fold(state: Mapping[str, Tensor], model: Model) -> Iterator[tuple[str, Tensor]]:
    """(name, fp32 tensor) in the order of `folded_parameters`, one in memory at a time; `state` may load lazily.

    Raises: IntegrityError: a published name is missing.
    """
    for parameter in folded_parameters(model):
        made = factor_of(parameter.name, tied=model.tie_embeddings, scale_emb=model.scale_emb, shrink=shrink(model))
        if made.source is None:
            yield parameter.name, torch.zeros(parameter.shape)
        else:
            factor = math.prod((_scalar(state, alpha) for alpha in made.alphas), start=made.constant)
            yield parameter.name, _take(state, made.source).float() * factor


def _scalar(state: Mapping[str, Tensor], name: str) -> float:
    return float(_take(state, name).item())


def _take(state: Mapping[str, Tensor], name: str) -> Tensor:
    try:
        return state[name]
    except KeyError as error:
        raise IntegrityError(
            f"no tensor named {name}", where="weights", cure="Fold a complete yulanmini checkpoint of the recipe's shape"
        ) from error


def llama_config(model: Model, context: int, rope_theta: float, bos: int, eos: int, dtype: str = "float32") -> dict[str, Any]:
    """config.json of the folded model; loads in transformers 4 and 5, which spell theta and dtype differently."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **_common(model, context, rope_theta, bos, eos, dtype),
        "tie_word_embeddings": False,
        "mlp_bias": False,
        "pretraining_tp": 1,
    }


def yulanmini_config(model: Model, context: int, rope_theta: float, bos: int, eos: int, dtype: str = "float32") -> dict[str, Any]:
    """config.json of the unfolded model, under the published keys; `import yulan.hf` lets transformers load it."""
    starts = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj")
    ones = ("input_layernorm", "post_attention_layernorm", "norm", "lm_head")
    return {
        "architectures": ["YuLanMiniForCausalLM"],
        "model_type": "yulanmini",
        **_common(model, context, rope_theta, bos, eos, dtype),
        "tie_word_embeddings": model.tie_embeddings,
        "scale_emb": model.scale_emb,
        "hidden_states_shrink": shrink(model),
        "dim_model_base_logits": model.hidden_size,
        "dim_model_base_lr": model.base_width,
        "wesar_weights": True,
        "use_norm_alpha": True,
        **{f"{name}_alpha": alpha_start(model, f"{name}_alpha") for name in starts + ones},
    }


def _common(model: Model, context: int, rope_theta: float, bos: int, eos: int, dtype: str) -> dict[str, Any]:
    return {
        "vocab_size": model.vocab_size,
        "hidden_size": model.hidden_size,
        "intermediate_size": model.ffn_size,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": model.norm_eps,
        "initializer_range": model.init_std,
        "max_position_embeddings": context,
        "rope_theta": rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": rope_theta},
        "attention_bias": True,
        "attention_dropout": 0.0,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "use_cache": True,
        "dtype": dtype,
        "torch_dtype": dtype,
    }

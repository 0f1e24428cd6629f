"""Every parameter of the decoder by its published name, without torch: what is counted, scaled, decayed and stored.

Source of names, shapes and constants: the YuLan-Mini report (arXiv 2412.17743) and its published weights.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from yulan.recipe.model import Model
from yulan.recipe.training import Optimizer

Kind = Literal["matrix", "embedding", "bias", "norm", "alpha"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    name: str
    shape: tuple[int, ...]
    kind: Kind
    """`embedding` is a table over the vocabulary, an untied head included; `alpha` a learnable scalar."""

    @property
    def size(self) -> int:
        """Numbers in it; 1 for the shape ()."""
        return math.prod(self.shape)


def _layer(model: Model, index: int) -> Iterator[Parameter]:
    at, width = f"model.layers.{index}", model.hidden_size
    heads = {"q": model.heads * model.head_dim, "k": model.kv_heads * model.head_dim, "v": model.kv_heads * model.head_dim}
    for name, rows in heads.items():
        yield Parameter(name=f"{at}.self_attn.{name}_proj.weight", shape=(rows, width), kind="matrix")
        yield Parameter(name=f"{at}.self_attn.{name}_proj.bias", shape=(rows,), kind="bias")
        yield Parameter(name=f"{at}.self_attn.{name}_proj_alpha", shape=(1,), kind="alpha")
    yield Parameter(name=f"{at}.self_attn.o_proj.weight", shape=(width, heads["q"]), kind="matrix")
    yield Parameter(name=f"{at}.self_attn.o_proj_alpha", shape=(1,), kind="alpha")
    yield Parameter(name=f"{at}.mlp.gate_proj.weight", shape=(model.ffn_size, width), kind="matrix")
    yield Parameter(name=f"{at}.mlp.up_proj.weight", shape=(model.ffn_size, width), kind="matrix")
    yield Parameter(name=f"{at}.mlp.down_proj.weight", shape=(width, model.ffn_size), kind="matrix")
    # Published as 0-d tensors, unlike the four of self_attn.
    for name in ("gate_up_proj", "down_proj", "input_layernorm", "post_attention_layernorm"):
        yield Parameter(name=f"{at}.{name}_alpha", shape=(), kind="alpha")
    for name in ("input_layernorm", "post_attention_layernorm"):
        yield Parameter(name=f"{at}.{name}.weight", shape=(width,), kind="norm")


def parameters(model: Model) -> tuple[Parameter, ...]:
    """All learnable tensors from input to output; `lm_head.weight` only if the head is not tied."""
    table = (model.vocab_size, model.hidden_size)
    found = [Parameter(name="model.embed_tokens.weight", shape=table, kind="embedding")]
    for index in range(model.layers):
        found += _layer(model, index)
    found.append(Parameter(name="model.norm.weight", shape=(model.hidden_size,), kind="norm"))
    found.append(Parameter(name="model.norm_alpha", shape=(), kind="alpha"))
    if not model.tie_embeddings:
        found.append(Parameter(name="lm_head.weight", shape=table, kind="embedding"))
    found.append(Parameter(name="lm_head_alpha", shape=(), kind="alpha"))
    return tuple(found)


def folded_parameters(model: Model) -> tuple[Parameter, ...]:
    """The tensors of the same model as plain Llama: no alphas, a zero bias on o_proj, a head of its own."""
    found = []
    for p in parameters(model):
        if p.kind == "alpha" or p.name == "lm_head.weight":
            continue
        found.append(p)
        if p.name.endswith("o_proj.weight"):
            found.append(Parameter(name=p.name.replace("weight", "bias"), shape=(model.hidden_size,), kind="bias"))
    found.append(Parameter(name="lm_head.weight", shape=(model.vocab_size, model.hidden_size), kind="embedding"))
    return tuple(found)


def count(model: Model) -> int:
    """Learnable numbers; a tied head counts once."""
    return sum(p.size for p in parameters(model))


def folded_count(model: Model) -> int:
    """Numbers in the plain Llama release."""
    return sum(p.size for p in folded_parameters(model))


def shrink(model: Model) -> float:
    """hidden_states_shrink: every block's output is multiplied by it before it joins the residual stream."""
    return model.residual / math.sqrt(model.layers)


def alpha_start(model: Model, name: str) -> float:
    """Start value of the alpha called `name`: sqrt(D0 / D) for q, k, v and gate_up, over sqrt(2 L) for o and down, else 1."""
    width = math.sqrt(model.base_width / model.hidden_size)
    role = name.rpartition(".")[2].removesuffix("_alpha")
    if role in ("o_proj", "down_proj"):
        return width / math.sqrt(2 * model.layers)
    return width if role in ("q_proj", "k_proj", "v_proj", "gate_up_proj") else 1.0


def lr_multiplier(kind: Kind, model: Model, optimizer: Optimizer) -> float:
    """Factor on the scheduled learning rate: D0 / D for matrices under muP, 1 for the rest.

    The released trainer holds no code for it; tables over the vocabulary keep the full rate, as embeddings do in muP.
    """
    return model.base_width / model.hidden_size if kind == "matrix" and optimizer.mup_lr else 1.0


def weight_decay(kind: Kind, optimizer: Optimizer) -> float:
    """Decoupled decay: on matrices and embeddings only."""
    return optimizer.weight_decay if kind in ("matrix", "embedding") else 0.0


def flops_per_token(model: Model, context: int) -> float:
    """Training FLOPs a token, forward and backward, in PaLM's convention: 6 N + 12 L (heads x head_dim) T.

    N are the numbers in matrices and the head (a look-up costs nothing); recomputation is not counted, nor that causal
    attention and documents shorter than T leave up to half of the second term out.
    """
    matmul = sum(p.size for p in folded_parameters(model) if p.kind == "matrix") + model.vocab_size * model.hidden_size
    return 6.0 * matmul + 12.0 * model.layers * model.heads * model.head_dim * context

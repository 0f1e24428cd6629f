"""Bytes that a micro-batch keeps for backward: counted from the decoder, which a test holds to autograd's own. No torch."""

from yulan.model.shape import parameters
from yulan.recipe import Model

LOGITS = 1 << 24
"""In memory at a time: the loss is made block by block (yulan/model/loss.py)."""


def kept(model: Model, tokens: int, low: int, *, recompute: bool = False) -> int:
    """Bytes for so many tokens, at `low` bytes a number; with `recompute` layers keep their input only.

    Matrices are kept once more, since each is multiplied by its alpha. Attention keeps no T x T matrix.
    """
    width, queries, keys = model.hidden_size, model.heads * model.head_dim, model.kv_heads * model.head_dim
    # Two norms and what they give, queries and attention's output; gate and up, before and after SiLU and their product.
    inside = 4 * width + 2 * queries + 4 * model.ffn_size + 2 * keys + model.heads + 2
    matrices = sum(p.size for p in parameters(model) if p.kind == "matrix")
    table = model.vocab_size * model.hidden_size
    if recompute:
        layers, scaled = model.layers * width + inside, matrices // model.layers
    else:
        layers, scaled = model.layers * inside, matrices
    # The head's gradient is made with the loss, first in fp32.
    return low * (tokens * (layers + 3 * width) + scaled + table) + 4 * table + 8 * LOGITS

"""Bytes that a micro-batch keeps for backward: counted from the decoder, which a test holds to autograd's own. No torch."""

from yulan.model.shape import parameters
from yulan.recipe import Model

LOGITS = 1 << 24
"""In memory at a time: the loss is made block by block (yulan/model/loss.py)."""

ROWS = 8
"""At most so many times the hidden states' numbers are in memory as logits: twice Liger's budget (yulan/model/liger.py), since it
takes the next power of two of rows."""


def kept(model: Model, tokens: int, low: int, *, recompute: int = 0, fused: bool = False) -> int:
    """Bytes for so many tokens, at `low` bytes a number, and what the loss takes for a moment.

    With `recompute` every so many layers one keeps them, the others their input only, and one at a time has them again.
    Matrices are kept once more, since each is multiplied by its alpha. Attention keeps no T x T matrix.
    """
    width, queries, keys = model.hidden_size, model.heads * model.head_dim, model.kv_heads * model.head_dim
    # Two norms and what they give, queries and attention's output; gate and up, their product, and unless it is made with
    # the product, SiLU.
    inside = 4 * width + 2 * queries + (4 - fused) * model.ffn_size + 2 * keys + model.heads + 2
    matrices = sum(p.size for p in parameters(model) if p.kind == "matrix")
    table = model.vocab_size * model.hidden_size
    whole = -(-model.layers // recompute) if recompute else model.layers
    again = whole < model.layers
    layers = (model.layers - whole) * width + (whole + again) * inside
    scaled = (whole + again) * matrices // model.layers
    # The head's gradient is made with the loss, first in fp32.
    logits = low * ROWS * tokens * width if fused else 8 * LOGITS
    return low * (tokens * (layers + 3 * width) + scaled + table) + 4 * table + logits

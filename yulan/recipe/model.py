"""The model section of a recipe: shape and scaling constants. Source: YuLan-Mini report, arXiv 2412.17743."""

from dataclasses import dataclass

from yulan.errors import RecipeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Shape of a YuLan-Mini decoder and the constants that scale it."""

    vocab_size: int
    """Rows of the embedding; the tokenizer has at most as many entries."""
    hidden_size: int
    """Width D of the residual stream."""
    layers: int
    heads: int
    """Query heads."""
    kv_heads: int
    """Key and value heads; divides `heads`."""
    head_dim: int
    ffn_size: int
    """Inner width of the SwiGLU."""
    norm_eps: float
    """Added to the mean square in RMSNorm."""
    base_width: int
    """D0 of muP: alphas start at sqrt(D0 / D), matrices train at lr x D0 / D."""
    scale_emb: float
    """Embeddings are multiplied by this after look-up."""
    residual: float
    """hidden_states_shrink is this / sqrt(layers)."""
    init_std: float
    """Standard deviation of every matrix and embedding at the start."""
    tie_embeddings: bool
    """The head is the embedding, transposed."""

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise RecipeError(
                f"{self.heads} heads do not divide into {self.kv_heads} key and value heads",
                where="$.model.kv_heads",
                cure="Choose a divisor of $.model.heads",
            )
        if self.head_dim % 2:
            raise RecipeError(
                f"head_dim {self.head_dim} is odd", where="$.model.head_dim", cure="Rotary positions need an even number"
            )
